"""Keeps the repository root off the import path, so that tests see the installed package.

The root holds folders called `sparse` and `datasets`, which are installed as sub-packages of deepgemm
and must not be importable under those bare names.
"""

from __future__ import annotations

import os
import sys

_root = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.getcwd()) != _root]
