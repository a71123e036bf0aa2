"""What the benchmarks share: contenders in processes of their own, and the median time of a call."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


def median_seconds(call: Callable[[], object], seconds: float, least: int = 3) -> float:
    """Return the median time of calls repeated for so many seconds, the first one not counted."""
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < least:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def figures_of(script: str, contenders: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return what the script prints as JSON for each contender, none for one that did not run.

    One process after the other, so that no thread pool spins beside another's timed call.
    """
    figures = {}
    for contender in contenders:
        run = subprocess.run([sys.executable, script, contender], capture_output=True, text=True)
        figures[contender] = json.loads(run.stdout) if run.returncode == 0 else {}
        if run.returncode != 0:
            print(f"{contender} did not run: {run.stderr.strip().splitlines()[-1]}")
    return figures
