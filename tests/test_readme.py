"""What the README shows is true: its example runs, and prints what it says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_tour_runs():
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    lines = printed.getvalue().splitlines()
    assert lines[1] == "True"
    for line in (*lines[:4], "  rounding        stated order"):
        assert f"\n{line}\n" in README
    for line in lines:  # times differ, but all kernels that are told of are there
        if "refused: " in line:
            assert f"\n{line.split()[0]} " in README, line


def test_links_lead_somewhere():
    here = Path(__file__).resolve().parents[1]
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (here / target).exists(), target
