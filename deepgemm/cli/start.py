"""Starts the commands, and says in one line why deepgemm cannot be imported where a setting is at fault.

Installed a second time as `_deepgemm_start`, outside the package: whoever imports a module of a package
imports the package first, which refuses a bad environment variable by raising.
"""

from __future__ import annotations

import sys
from importlib import import_module

_EXIT_USAGE = 2  # as in console.py, which cannot be imported yet


def deepgemm() -> int:
    """Run the `deepgemm` command and return its exit status."""
    return _run("deepgemm", "deepgemm.cli.main")


def deepgemm_bench() -> int:
    """Run the `deepgemm-bench` command and return its exit status."""
    return _run("deepgemm-bench", "deepgemm.cli.bench")


def _run(program: str, module: str) -> int:
    try:
        command = import_module(module)
    except ValueError as error:
        if not str(error).startswith("DEEPGEMM_"):
            raise
        print(f"{program}: {error}", file=sys.stderr)
        return _EXIT_USAGE
    status: int = command.main()
    return status
