"""How the commands speak: consoles, the one-line error and the exit statuses."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from rich.console import Console
from rich.table import Table

from ..errors import DTypeError, UnsupportedError

__all__ = [
    "EXIT_OK",
    "EXIT_USAGE",
    "EXIT_WRONG",
    "CommandError",
    "Parser",
    "print_table",
    "rate",
    "run",
    "stderr",
    "stdout",
]

EXIT_OK = 0
EXIT_WRONG = 1  # something that was computed is wrong, or could not be saved
EXIT_USAGE = 2  # bad arguments or a bad file; argparse uses the same
EXIT_INTERRUPTED = 130

# Rich folds tables to 80 columns where there is no terminal, which breaks them for grep and for logs.
_WIDTH_OF_A_PIPE = 140


class CommandError(Exception):
    """A mistake of the user's, told in one line."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose mistakes take one line on stderr; ``--help`` has the usage."""

    def error(self, message: str) -> NoReturn:
        """Print the mistake and exit with status 2."""
        self.exit(EXIT_USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


class _Quiet(Console):
    """A console that leaves it to `run` what happens when the reader of a pipe has gone."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def stdout() -> Console:
    """Return a console for results."""
    width = None if sys.stdout.isatty() else shutil.get_terminal_size((_WIDTH_OF_A_PIPE, 24)).columns
    return _Quiet(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)


def stderr() -> Console:
    """Return a console for progress, which shows nothing where stderr is no terminal."""
    return Console(file=sys.stderr, quiet=not sys.stderr.isatty(), highlight=False, markup=False)


def print_table(console: Console, table: Table) -> None:
    """Print a table, without the blanks that fill up its lines where they would end up in a file."""
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        console.print(line.rstrip(), soft_wrap=True)


def run(program: str, command: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None) -> int:
    """Call `command` and turn what users can cause into one line on stderr and an exit status.

    Parameters
    ----------
    program : str
        Name to put before the message.
    command : callable
        Takes the arguments, returns the exit status.
    argv : sequence of str or None
        The arguments; None stands for those of the process.

    Returns
    -------
    int
        The exit status.
    """
    try:
        status = command(argv)
        sys.stdout.flush()
        return status
    except CommandError as error:
        return _complain(program, str(error), EXIT_USAGE)
    except (DTypeError, UnsupportedError) as error:
        return _complain(program, str(error), EXIT_USAGE)
    except ValueError as error:
        # The library's own name the argument, what was expected and what came; any other is a bug.
        if not _is_ours(error):
            raise
        return _complain(program, str(error), EXIT_USAGE)
    except MemoryError as error:
        return _complain(program, f"not enough memory: {error}".removesuffix(": "), EXIT_USAGE)
    except BrokenPipeError:
        # The reader (`| head`) has gone. Closing stdout again at exit would complain, so it goes nowhere.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except KeyboardInterrupt:
        return _complain(program, "interrupted", EXIT_INTERRUPTED)


def _is_ours(error: BaseException) -> bool:
    """Whether the innermost frame of the error belongs to this package."""
    trace = error.__traceback__
    name = ""
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    return name.partition(".")[0] == "deepgemm"


def _complain(program: str, message: str, status: int) -> int:
    line = " ".join(message.split())
    print(f"{program}: {line}", file=sys.stderr)
    return status


def rate(value: float | None) -> str:
    """Return a rate in units of 1e9 a second with three digits.

    Examples
    --------
    >>> rate(4.214e10)
    '42.1'
    """
    if value is None:
        return ""
    value /= 1e9
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"
