"""The `deepgemm` command: facts about this machine, plans and products for files, calibration."""

from __future__ import annotations

from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence

import deepgemm as dg

from . import calibrate, info, multiply, plan
from .console import EXIT_USAGE, Parser, run

__all__ = ["main"]

_DESCRIPTION = "Sparse and dense matrix products that plan, explain and repeat themselves exactly."
_EPILOG = """\
deepgemm-bench times every kernel of a problem, and peer libraries beside them.

exit status: 0 success, 2 bad arguments or a bad file."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``deepgemm`` and return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; by default those of the process.
    """
    return run("deepgemm", _dispatch, argv)


def _dispatch(argv: Sequence[str] | None) -> int:
    parser = Parser(
        prog="deepgemm", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"deepgemm {dg.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    for command in (info, plan, multiply, calibrate):
        command.add_parser(commands)
    arguments = parser.parse_args(argv)
    if not hasattr(arguments, "command"):
        parser.print_help()
        return EXIT_USAGE
    status: int = arguments.command(arguments)
    return status
