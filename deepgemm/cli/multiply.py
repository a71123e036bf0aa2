"""`deepgemm multiply`: the product of two sparse matrices from files, written to disk."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import deepgemm as dg

from ..planner.report import count, seconds, size
from .console import EXIT_OK, CommandError, Parser, stdout
from .files import SUFFIXES, read_matrix
from .operands import add_dtype, add_threads, as_dtype
from .progress import Steps

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_parser"]

_DESCRIPTION = f"""\
Multiply two sparse matrices ({", ".join(SUFFIXES)}) and write the product to a folder of NumPy files, which
deepgemm.open_matrix opens as a memory-mapped CSR. It is made in tiles of rows, so it need not fit into
memory; with --estimate nothing is multiplied, and what the product would take is shown."""


def add_parser(commands: _SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "multiply",
        help="multiply two sparse matrices from files and write the product to disk",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("left", metavar="A", help="the left matrix, in Matrix Market or SciPy npz format")
    parser.add_argument("right", metavar="B", help="the right matrix")
    parser.add_argument("--transpose", action="store_true", help="multiply by the transpose of B")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--out", metavar="FOLDER", help="the folder to make")
    target.add_argument("--estimate", action="store_true", help="show entries, memory and time instead")
    parser.add_argument("--memory-budget", metavar="BYTES", help='for a tile, such as "4GiB"')
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    add_dtype(parser, None, "dtype of both operands (default: the files', float64 for integers)")
    add_threads(parser)
    parser.set_defaults(command=_multiply)


def _multiply(arguments: argparse.Namespace) -> int:
    with Steps() as steps:
        operands = []
        for path in (arguments.left, arguments.right):
            steps.step(f"reading {path}")
            operands.append(as_dtype(read_matrix(path), arguments.dtype))
        A, B = operands
        B = B.T if arguments.transpose else B
        if arguments.estimate:
            steps.step("estimating")
            found = dg.estimate(A, B)
        else:
            steps.step("multiplying")
            start = time.perf_counter()
            try:
                C = dg.matmul_to_disk(
                    A,
                    B,
                    arguments.out,
                    memory_budget=arguments.memory_budget,
                    threads=arguments.threads,
                    overwrite=arguments.overwrite,
                    progress=steps.reach,
                )
            except OSError as error:
                raise CommandError(str(error)) from None
            elapsed = time.perf_counter() - start
    if arguments.estimate:
        print(found)
    else:
        shape = " × ".join(map(count, C.shape))
        stdout().print(
            f"{arguments.out}: CSR {shape} {C.dtype}, {count(C.nnz)} entries, {size(C.nbytes)}, "
            f"written in {seconds(elapsed)}",
            soft_wrap=True,
            highlight=False,
        )
    return EXIT_OK
