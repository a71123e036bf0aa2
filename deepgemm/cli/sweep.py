"""`deepgemm-bench --regret`: the planner's choices on many matrices, a line for each and a summary."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

import deepgemm as dg

from ..planner.report import seconds
from .cases import COLUMNS, DTYPES, Source, nothing_found, sources
from .console import CommandError, print_table, stdout
from .progress import Steps
from .regret import LEAST_SECONDS, Judged, Timed, judge, summarise

__all__ = ["sweep"]


def sweep(arguments: Namespace) -> dict[str, Any]:
    """Judge the planner on all sources and print what is found; return it as values for JSON."""
    chosen = sources(arguments.least_entries, arguments.match)
    if not chosen:
        raise CommandError(f"--regret: {nothing_found(arguments.least_entries, arguments.match)}")
    quiet = arguments.json == "-"
    judged: list[Judged] = []
    threads = arguments.threads or dg.get_num_threads()
    with dg.threads(threads), Steps() as steps:
        steps.expect(len(chosen) * len(COLUMNS) * len(DTYPES))
        for source in chosen:
            judged += _judge_source(source, arguments, steps, quiet)
    found = summarise(judged)
    if not quiet:
        print_table(stdout(), _summary_table(found))
    return {
        "deepgemm": dg.__version__,
        "machine": dg.show_machine().title.removeprefix("machine: "),
        "threads": threads,
        "rounds": arguments.rounds,
        "side": "right" if arguments.right else "left",
        "least_seconds": LEAST_SECONDS,
        "summary": [asdict(line) for line in found],
        "cases": [case.to_dict() for case in judged],
    }


def _judge_source(source: Source, arguments: Namespace, steps: Steps, quiet: bool) -> list[Judged]:
    found = []
    for case in source.cases(right=arguments.right):
        steps.step(case.name)
        found.append(judge(case, arguments.reuse, arguments.rounds))
        if not quiet:
            steps.print(_line(found[-1]))
    return found


def _line(case: Judged) -> Text:
    """Return what is to be known of a case: both regrets, the choices and what would have been better."""
    regrets = case.regret(), case.regret_at_once()
    parts = [
        f"{case.name:60.60}",
        _verdict("hint", regrets[0], case.find(case.hinted), case.best(case.reuse)),
        _verdict("fresh", regrets[1], case.find(case.fresh), case.best_at_once()),
        " ".join(f"×{calls}: {factor:.2f}" for calls, factor in case.factors().items()),
    ]
    worst = max(regrets)
    style = "dim" if not case.counts else "red" if worst > 2 else "yellow" if worst > 1.15 else ""
    return Text("  ".join(parts), style=style)


def _verdict(label: str, regret: float, chosen: Timed, best: Timed) -> str:
    better = "" if best is chosen else f" < {_timed(best)}"
    return f"{label} {regret:4.2f} {_timed(chosen)}{better}"


def _timed(found: Timed) -> str:
    return f"{found.name} {seconds(found.seconds)} (predicted {seconds(found.predicted)})"


def _summary_table(found: Sequence[Any]) -> Table:
    title = f"cases of {seconds(LEAST_SECONDS)} and more"
    table = Table(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left")
    table.add_column("figure", no_wrap=True)
    for heading in ("cases", "geometric mean", "worst"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("where", no_wrap=True)
    for line in found:
        table.add_row(line.name, str(line.cases), f"{line.mean:.3f}", f"{line.worst:.2f}", line.worst_case)
    return table
