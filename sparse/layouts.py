"""Keeps the converted copies of operands that kernels asked for, within one bound for the process."""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy.typing as npt

from ..config import settings

if TYPE_CHECKING:
    from .core import Factor


class Layout(Protocol):
    """A converted copy of an operand, as some kernel wants it."""

    @property
    def nbytes(self) -> int:
        """Memory that the copy takes, in bytes."""

    def refill(self, values: npt.NDArray[Any]) -> Layout:
        """Return the same layout for other values, re-using everything structural."""


L = TypeVar("L", bound=Layout)

STRUCTURE = "structure:"
"""Prefix of the names of layouts that hold places only, no values: they serve entries of any dtype."""
COLUMNS = f"{STRUCTURE}columns"
"""Rows and columns of an operand at once."""

_DONATED = "donated:"  # prefix of a donor's layouts in the ledger


class LayoutCache:
    """The layouts of one array, each built once and dropped when the process needs the memory.

    Look-ups take no lock. A build runs under the lock of its array, and its result appears in one
    step, so that no other thread sees half a layout. A layout that is dropped here lives on for as
    long as a running product holds it.

    Parameters
    ----------
    owner : Factor
        The array; its plans are dropped together with a layout, because they would keep it alive.
    donor : LayoutCache or None
        Cache of an array with the same structure. Its layouts are offered by `donor(name)`.
    """

    __slots__ = ("__weakref__", "_donated", "_layouts", "_lock", "_owner", "_token")

    def __init__(self, owner: Factor, donor: LayoutCache | None = None) -> None:
        self._owner = weakref.ref(owner)
        self._layouts: dict[str, Layout] = {}
        self._donated: dict[str, Layout] = {}
        self._lock: tuple[int, threading.RLock] | None = None
        self._token = next(_tokens)
        if donor is not None:
            self._take({**donor._donated, **donor._layouts})

    def names(self) -> frozenset[str]:
        """Return the names of the layouts that exist now."""
        return frozenset(self._layouts)

    def items(self) -> tuple[tuple[str, Layout], ...]:
        """Return the layouts that exist now, with their names."""
        return tuple(self._layouts.copy().items())

    @property
    def nbytes(self) -> int:
        """Memory of the layouts that exist now, in bytes."""
        return sum(layout.nbytes for _, layout in self.items())

    def get(self, name: str) -> Layout | None:
        """Return the layout `name` if it exists."""
        layout = self._layouts.get(name)
        if layout is not None:
            _ledger.touch(self, name)
        return layout

    def donor(self, name: str) -> Layout | None:
        """Return the layout `name` of the array that this one got its structure from, if it had one."""
        return self._donated.get(name)

    def take_structure(self, donor: LayoutCache) -> None:
        """Offer what a donor with entries of another dtype knows of places: its layouts without values.

        The names of others say what their entries are only beside the dtype of the array: "csr" are copied
        ones.
        """
        known = {**donor._donated, **donor._layouts}
        self._take({name: layout for name, layout in known.items() if name.startswith(STRUCTURE)})

    def _take(self, donated: dict[str, Layout]) -> None:
        self._donated = donated
        for name, layout in donated.items():
            _ledger.add(self, _DONATED + name, layout.nbytes)

    def get_or_build(self, name: str, build: Callable[[], L]) -> L:
        """Return the layout `name`, building it first if it does not exist.

        Of several threads that ask at once, one builds and the others wait. A layout larger than the
        bound of the process is returned without being kept.
        """
        layout = self.get(name)
        if layout is None:
            with self.lock():
                layout = self._layouts.get(name)
                if layout is None:
                    layout = build()
                    self._layouts[name] = layout
                    self._donated.pop(name, None)
            _ledger.remove(self, _DONATED + name)
            _ledger.add(self, name, layout.nbytes)
        return layout  # type: ignore[return-value]  # one name always stands for one type

    def lock(self) -> threading.RLock:
        """Return the lock under which derived data of this array is built (a new one after a fork)."""
        with _ledger.lock:
            if self._lock is None or self._lock[0] != _ledger.generation:
                self._lock = (_ledger.generation, threading.RLock())
            return self._lock[1]

    def _drop(self, name: str) -> None:
        """Forget an evicted layout. Takes no lock: another array's build may be what evicts it."""
        if name.startswith(_DONATED):
            self._donated.pop(name.removeprefix(_DONATED), None)
            return
        self._layouts.pop(name, None)
        owner = self._owner()
        if owner is not None:
            owner._drop_plans()


class _Ledger:
    """Bytes of every cached layout of the process, the least recently used first."""

    def __init__(self) -> None:
        self.generation = 0
        self.lock = threading.RLock()
        self._entries: OrderedDict[tuple[int, str], tuple[weakref.ref[LayoutCache], int]] = OrderedDict()
        # Caches may die inside any allocation, also while this thread holds the lock: their death is
        # only noted, and acted upon at the next operation.
        self._dead: deque[int] = deque()
        self._total = 0

    def add(self, cache: LayoutCache, name: str, nbytes: int) -> None:
        limit = settings().layout_bytes
        if limit is None:
            limit = _default_limit()
        if nbytes > limit:  # no room for it even alone: nothing else has to go
            cache._drop(name)
            return
        victims: list[tuple[LayoutCache | None, str]] = []
        with self.lock:
            self._bury()
            self._pop((cache._token, name))
            obituary = _Obituary(cache._token, self._dead)
            self._entries[cache._token, name] = (weakref.ref(cache, obituary), nbytes)
            self._total += nbytes
            while self._total > limit:
                key = next(iter(self._entries))
                victims.append((self._entries[key][0](), key[1]))
                self._pop(key)
        for victim, layout in victims:
            if victim is not None:
                victim._drop(layout)

    def touch(self, cache: LayoutCache, name: str) -> None:
        with self.lock:
            if (cache._token, name) in self._entries:
                self._entries.move_to_end((cache._token, name))

    def remove(self, cache: LayoutCache, name: str) -> None:
        with self.lock:
            self._bury()
            self._pop((cache._token, name))

    @property
    def total(self) -> int:
        with self.lock:
            self._bury()
            return self._total

    def after_fork(self) -> None:
        """Replace locks that a thread of the parent may have held when it forked."""
        self.generation += 1
        self.lock = threading.RLock()

    def _pop(self, key: tuple[int, str]) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._total -= entry[1]

    def _bury(self) -> None:
        while self._dead:
            token = self._dead.popleft()
            for key in [key for key in self._entries if key[0] == token]:
                self._pop(key)


class _Obituary:
    """Notes the death of a cache without taking any lock."""

    __slots__ = ("_dead", "_token")

    def __init__(self, token: int, dead: deque[int]) -> None:
        self._token = token
        self._dead = dead

    def __call__(self, _: object) -> None:
        self._dead.append(self._token)


def _default_limit() -> int:
    """A quarter of the physical memory: layouts are copies of operands that must fit as well."""
    try:
        return int(os.sysconf("SC_PAGE_SIZE")) * int(os.sysconf("SC_PHYS_PAGES")) // 4
    except (AttributeError, ValueError, OSError):  # platforms that do not tell
        return 4 << 30


def total_nbytes() -> int:
    """Return the bytes of all cached layouts of the process."""
    return _ledger.total


_tokens = count()
_ledger = _Ledger()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ledger.after_fork)
