"""`deepgemm plan`: which kernel a product with a file's matrix would run on, and why."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from rich.text import Text

import deepgemm as dg

from ..planner.report import seconds, size
from .console import EXIT_OK, Parser, stdout
from .files import SUFFIXES, read_matrix
from .operands import add_columns, add_dtype, add_threads, as_dtype, dense, positive, shape_text
from .progress import Steps

if TYPE_CHECKING:
    from argparse import _SubParsersAction

__all__ = ["add_parser"]

_DESCRIPTION = f"""\
Read a sparse matrix A ({", ".join(SUFFIXES)}), measure its structure, and show what the planner would do
with A @ X: each kernel with its predicted time and conversion, or the reason why it was refused.
Nothing is multiplied; deepgemm-bench --matrix FILE measures."""


def add_parser(commands: _SubParsersAction[Parser]) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "plan",
        help="show what the planner would do with a matrix from a file",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="the matrix, in Matrix Market or SciPy npz format")
    add_columns(parser, 32)
    add_dtype(parser, None, "dtype of both operands (default: the file's, float64 for integers)")
    note = "products that will follow (default: unknown, so nothing is converted)"
    parser.add_argument("--reuse", type=positive, metavar="N", help=note)
    parser.add_argument("--kernel", metavar="NAME", help="force a kernel, an ISA, or kernel@isa")
    add_threads(parser)
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    parser.set_defaults(command=_plan)


def _plan(arguments: argparse.Namespace) -> int:
    with Steps() as steps:
        steps.step(f"reading {arguments.file}")
        start = time.perf_counter()
        A = as_dtype(read_matrix(arguments.file), arguments.dtype)
        elapsed = time.perf_counter() - start
        X = dense(A.shape[1], arguments.columns, A.dtype)
        steps.step("planning")
        made = dg.plan(A, X, reuse=arguments.reuse, threads=arguments.threads, kernel=arguments.kernel)
    if arguments.json:
        sys.stdout.write(made.to_json().rstrip("\n") + "\n")
        return EXIT_OK
    console = stdout()
    console.print(
        Text.assemble(
            (arguments.file, "bold"),
            f": {type(A).__name__} {shape_text(A.shape)} {A.dtype}, {A.nnz:,} entries ({A.density:.3%}), ",
            f"{size(A.nbytes)}, read in {seconds(elapsed)}",
        ),
        soft_wrap=True,
    )
    print()
    print(made.explain())
    return EXIT_OK
