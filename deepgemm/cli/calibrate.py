"""`deepgemm calibrate`: measure this machine's rates and keep them for later plans."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..planner import calibration, machine
from .console import EXIT_OK, CommandError, Parser
from .progress import Steps

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_parser"]

_DESCRIPTION = """\
Measure how fast this machine reads from each memory level and computes on each ISA, in seconds, and keep
the rates in the cache folder (DEEPGEMM_CACHE_DIR), where later plans find them. Results of products do not
depend on them, only the choice of kernels."""


def add_parser(commands: _SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "calibrate",
        help="measure this machine's rates for better predictions",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--output", metavar="FILE", help="write the rates to this file instead")
    target.add_argument("--dry-run", action="store_true", help="show the rates and keep nothing")
    target.add_argument("--forget", action="store_true", help="go back to the shipped defaults")
    parser.set_defaults(command=_calibrate)


def _calibrate(arguments: argparse.Namespace) -> int:
    kept = machine.machine_file()
    if arguments.forget:
        known = kept.exists()
        kept.unlink(missing_ok=True)
        print(f"removed {kept}" if known else "nothing was measured: the shipped defaults are in use")
        return EXIT_OK
    with Steps() as steps:
        measured = calibration.calibrate(steps.step)
    print(measured.report())
    if arguments.dry_run:
        return EXIT_OK
    try:
        path = machine.save(measured, arguments.output or kept)
    except OSError as error:
        raise CommandError(f"{arguments.output or kept}: cannot be written: {error.strerror}") from None
    print(f"\nkept in {path}")
    return EXIT_OK
