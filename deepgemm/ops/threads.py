"""How many threads products use: for the process, for a block of code, and as seen by threadpoolctl."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from .. import _core
from ..config import available_cpus
from ._request import positive

__all__ = ["get_num_threads", "set_num_threads", "threads"]


def set_num_threads(n: int) -> None:
    """Set how many threads products of this process may use.

    Parameters
    ----------
    n : int
        At least 1. May exceed the number of CPUs.

    Examples
    --------
    >>> import deepgemm as dg
    >>> before = dg.get_num_threads()
    >>> dg.set_num_threads(1)
    >>> dg.get_num_threads()
    1
    >>> dg.set_num_threads(before)
    """
    _core.set_process_limit(positive("set_num_threads", "n", n))


def get_num_threads() -> int:
    """Return how many threads a product started here may use.

    Examples
    --------
    >>> import deepgemm as dg
    >>> dg.get_num_threads() >= 1
    True
    """
    return _core.limit()


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Set how many threads the products may use that the calling thread starts inside the block.

    Parameters
    ----------
    n : int
        At least 1. It takes the place of the number of the process, above or below it.

    Examples
    --------
    >>> import deepgemm as dg
    >>> with dg.threads(1):
    ...     dg.get_num_threads()
    1
    """
    before = _core.set_thread_limit(positive("threads", "n", n))
    try:
        yield
    finally:
        _core.set_thread_limit(before)


def _register(threadpoolctl: ModuleType) -> None:
    """Tell threadpoolctl of our pool, so that `threadpool_limits` reaches it."""
    base: Any = threadpoolctl.LibController

    class DeepGemmController(base):  # type: ignore[misc]
        """The thread pool of deepgemm."""

        user_api = "deepgemm"
        internal_api = "deepgemm"
        filename_prefixes = ("_core",)
        check_symbols = ("deepgemm_get_num_threads", "deepgemm_set_num_threads")

        def get_num_threads(self) -> int:
            return _core.process_limit()

        def set_num_threads(self, num_threads: int) -> None:
            _core.set_process_limit(num_threads)

        def get_version(self) -> None:
            return None

    threadpoolctl.register(DeepGemmController)


class _Hook(MetaPathFinder):
    """Waits for the import of threadpoolctl, which is optional and must not be imported by us."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "threadpoolctl":
            return None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Registering(spec.loader)
        return spec


class _Registering(Loader):
    """Loads a module as its own loader does, then registers with it."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _register(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)  # what tools ask loaders for, such as get_source


_core.set_process_limit(available_cpus())
if "threadpoolctl" in sys.modules:
    _register(sys.modules["threadpoolctl"])
else:
    sys.meta_path.insert(0, _Hook())
