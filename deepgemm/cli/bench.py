"""The `deepgemm-bench` command: every candidate of a problem timed, beside the peers if asked."""

from __future__ import annotations

import json
import sys
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
from rich.table import Table
from rich.text import Text

import deepgemm as dg

from ..datasets import interactions
from ..planner.report import seconds, size
from .console import EXIT_OK, EXIT_WRONG, CommandError, Parser, print_table, rate, run, stdout
from .files import SUFFIXES, read_matrix
from .measure import Outcome, measure
from .operands import add_columns, add_dtype, add_threads, as_dtype, check_memory, dense, positive, shape_text
from .peers import PEERS
from .progress import Steps
from .sweep import sweep

__all__ = ["main"]

_DESCRIPTION = """\
Time every kernel that can multiply a sparse matrix by a dense one, and compare with the planner's
predictions. Without arguments the matrix is a generated users × items matrix with Zipf popularity,
and the dense operand 64 factors for each item: one half-step of a recommender."""

_EPILOG = """\
Figures are medians over interleaved rounds; each contender is warmed up before each of its turns, and
peers run in processes of their own. Our plans write into one output array (`out=`), as does MKL; SciPy,
NumPy and torch allocate theirs. Results that differ from a double-precision reference by more than
rounding explains are reported and not timed.

exit status: 0 all results right, 1 a result was wrong, 2 bad arguments or a bad file."""

_REGRET = """judge the planner on every matrix of DEEPGEMM_DATA_DIR and on generated ones, in float32 and
float64 with 1, 8, 32 and 128 columns: the measured time of its choice over that of the best candidate, with
--reuse and for a first product without a hint, and the total of plain products over that of the best choice
in hindsight"""


@dataclass(frozen=True)
class _Task:
    """What is to be timed."""

    name: str
    A: dg.CSR
    X: npt.NDArray[Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``deepgemm-bench`` and return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; by default those of the process.
    """
    return run("deepgemm-bench", _bench, argv)


def _parser() -> Parser:
    parser = Parser(
        prog="deepgemm-bench",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--matrix", metavar="FILE", help=f"a file ({', '.join(SUFFIXES)}) instead of the generated matrix"
    )
    add_columns(parser, 64)
    add_dtype(parser, "float32", "dtype of both operands (default: float32)")
    for option, default, note in (
        ("--users", 100_000, "rows of the generated matrix"),
        ("--items", 20_000, "its columns"),
        ("--mean", 40, "its entries of a row, on average"),
        ("--reuse", 1000, "products that the planner may count on"),
        ("--rounds", 5, "turns of each contender"),
    ):
        parser.add_argument(
            option, type=positive, default=default, metavar="N", help=f"{note} (default: {default})"
        )
    add_threads(parser)
    parser.add_argument("--regret", action="store_true", help=_REGRET)
    note = "with --regret: the sparse operand on the right, X @ A"
    parser.add_argument("--right", action="store_true", help=note)
    note = "with --regret: only matrices whose name holds this (may be given again)"
    parser.add_argument("--match", action="append", default=[], metavar="TEXT", help=note)
    note = "with --regret: only matrices of at least so many entries (default: %(default)s)"
    parser.add_argument("--least-entries", type=positive, default=20_000, metavar="N", help=note)
    note = "admit kernels that round in another order (reproducible=False)"
    parser.add_argument("--any-order", action="store_true", help=note)
    parser.add_argument("--kernels", metavar="A,B", help="time only these, each a kernel or kernel@isa")
    parser.add_argument(
        "--peers",
        nargs="?",
        const=",".join(PEERS),
        default="",
        metavar="A,B",
        help=f"time peer libraries too, of {', '.join(PEERS)} (all of them if none is named)",
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="write the figures as JSON to a file, or to stdout (-) instead of the table",
    )
    parser.add_argument("--version", action="version", version=f"deepgemm {dg.__version__}")
    return parser


def _bench(argv: Sequence[str] | None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    kernels = _names(arguments.kernels) if arguments.kernels is not None else None
    peers = _names(arguments.peers)
    for peer in peers:
        if peer not in PEERS:
            parser.error(f"--peers: {peer!r} is not one of: {', '.join(PEERS)}")
    threads = arguments.threads or dg.get_num_threads()
    _check_writable(arguments.json)
    if arguments.regret:
        judged = sweep(arguments)
        if arguments.json is not None:
            _write_json(arguments.json, judged)
        return EXIT_OK
    with Steps() as steps:
        task = _task(arguments, steps)
        outcome = measure(
            task.A,
            task.X,
            reuse=arguments.reuse,
            threads=threads,
            reproducible=not arguments.any_order,
            kernels=kernels,
            peers=peers,
            rounds=arguments.rounds,
            report=steps.step,
            expect=steps.expect,
        )
    if arguments.json is not None:
        _write_json(arguments.json, _as_json(task, outcome, threads, arguments.rounds))
    if arguments.json != "-":
        _show(task, outcome, threads)
    return EXIT_WRONG if any(result.wrong for result in outcome.results) else EXIT_OK


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))


def _task(arguments: Namespace, steps: Steps) -> _Task:
    if arguments.matrix is not None:
        steps.step(f"reading {arguments.matrix}")
        name, matrix = str(arguments.matrix), read_matrix(arguments.matrix)
    else:
        steps.step("generating interactions")
        matrix = interactions(arguments.users, arguments.items, mean=arguments.mean)
        name = "generated: users × items, Zipf popularity"
    A = as_dtype(matrix, arguments.dtype).tocsr().canonical()
    steps.step("generating the dense operand")
    # Two results: the chosen kernel's, and the one that all candidates write into.
    check_memory(2 * A.shape[0] * arguments.columns * A.dtype.itemsize, "the result")
    return _Task(name, A, dense(A.shape[1], arguments.columns, A.dtype))


# --- the table ----------------------------------------------------------------------------------

_LEGEND = (
    "ratio: measured over predicted. GB/s: operands and result, each byte once. "
    "prepare: planning and conversion. time: against the chosen kernel's."
)
_NARROW = 100  # columns of a terminal, below which the table is set tighter


def _show(task: _Task, outcome: Outcome, threads: int) -> None:
    console = stdout()
    A, X = task.A, task.X
    console.print(Text(task.name, style="bold"), soft_wrap=True)
    density = f"{A.density:.3%}, {size(A.nbytes)}"
    console.print(f"A {shape_text(A.shape)} {A.dtype}, {A.nnz:,} entries ({density})", soft_wrap=True)
    use = f"{threads} thread{'s' if threads > 1 else ''}, planned for {outcome.reuse:,} products"
    console.print(f"X {shape_text(X.shape)}, {use}", soft_wrap=True)
    console.print()
    padding = (0, 1 if console.width < _NARROW else 2, 0, 0)
    print_table(console, _timed(outcome, padding))
    if any(result.refused is not None for result in outcome.results):
        console.print()
        print_table(console, _refused(outcome, padding))
    console.print()
    for line in (_LEGEND, *_findings(outcome)):
        console.print(line, soft_wrap=True)


def _timed(outcome: Outcome, padding: tuple[int, int, int, int]) -> Table:
    table = Table(box=None, pad_edge=False, padding=padding, header_style="bold")
    table.add_column("")
    table.add_column("kernel", no_wrap=True)
    for heading in ("predicted", "measured", "ratio", "GFLOP/s", "GB/s", "prepare", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    chosen = outcome.chosen.seconds if outcome.chosen is not None else None
    for result in outcome.results:
        if result.seconds is None:
            continue
        table.add_row(
            "▶" if result.chosen else "*" if result.peer else "",
            result.name,
            seconds(result.predicted),
            seconds(result.seconds),
            f"{result.seconds / result.predicted:.2f}" if result.predicted else "",
            rate(outcome.flops / result.seconds),
            rate(outcome.traffic / result.seconds),
            seconds(result.conversion),
            f"{result.seconds / chosen:.2f}×" if chosen else "",
            style="bold green" if result.chosen else "cyan" if result.peer else "",
        )
    return table


def _refused(outcome: Outcome, padding: tuple[int, int, int, int]) -> Table:
    table = Table(box=None, pad_edge=False, padding=padding, header_style="bold")
    table.add_column("not timed", no_wrap=True)
    table.add_column("reason", overflow="fold")
    for result in outcome.results:
        if result.refused is not None:
            table.add_row(result.name, result.refused, style="bold red" if result.wrong else "dim")
    return table


def _findings(outcome: Outcome) -> list[str]:
    lines = ["▶ chosen by the planner"]
    if any(result.peer and result.seconds is not None for result in outcome.results):
        lines[0] += ", * a peer in a process of its own"
    best, chosen, regret = outcome.best, outcome.chosen, outcome.regret
    if best is not None and chosen is not None and regret is not None:
        what = "is the fastest candidate" if best is chosen else f"was chosen, {best.name} is faster"
        lines.append(f"planner regret: {regret:.2f} ({chosen.name} {what}, conversion included)")
    others = [result.name for result in outcome.results if result.identical is False and not result.wrong]
    if others:
        lines.append(f"rounded otherwise than the chosen kernel: {', '.join(others)}")
    errors = [
        result.error for result in outcome.results if result.seconds is not None and result.error is not None
    ]
    if errors:
        explained = f"rounding explains {outcome.bound:.1e}"
        lines.append(f"largest error: {max(errors):.1e} of the magnitudes summed; {explained}")
    return lines


# --- JSON ---------------------------------------------------------------------------------------


def _as_json(task: _Task, outcome: Outcome, threads: int, rounds: int) -> dict[str, Any]:
    best, chosen = outcome.best, outcome.chosen
    return {
        "deepgemm": dg.__version__,
        "problem": {
            "name": task.name,
            "shape": list(task.A.shape),
            "nnz": task.A.nnz,
            "dtype": task.A.dtype.name,
            "columns": task.X.shape[1] if task.X.ndim == 2 else 1,
            "flops": outcome.flops,
            "bytes": outcome.traffic,
        },
        "machine": dg.show_machine().title.removeprefix("machine: "),
        "threads": threads,
        "rounds": rounds,
        "reuse": outcome.reuse,
        "chosen": None if chosen is None else chosen.name,
        "best": None if best is None else best.name,
        "regret": outcome.regret,
        "results": [asdict(result) for result in outcome.results],
    }


def _check_writable(path: str | None) -> None:
    """Refuse before minutes of timing, not after."""
    if path is None or path == "-":
        return
    target = Path(path)
    if target.is_dir():
        raise CommandError(f"--json: {path}: is a directory, expected a file")
    if not target.parent.is_dir():
        raise CommandError(f"--json: {path}: the folder does not exist")


def _write_json(path: str, values: dict[str, Any]) -> None:
    text = json.dumps(values, indent=1) + "\n"
    if path == "-":
        sys.stdout.write(text)
        return
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"--json: {path}: cannot be written: {error.strerror}") from None
