"""Finds the file of a real set: in the data folder, in the cache, or by a download that is verified."""

from __future__ import annotations

import csv
import hashlib
import importlib
import logging
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..config import settings
from ..errors import UnsupportedError
from .sources import Source

_log = logging.getLogger("deepgemm.datasets")


def locate(source: Source) -> Path:
    """Return the path of a file of a real set.

    It is looked for in `DEEPGEMM_DATA_DIR`, then in the folder "datasets" of `DEEPGEMM_CACHE_DIR`, and
    downloaded to there if it is in neither. Checksums are verified, in the data folder against its
    MANIFEST.csv. Licence and citation are logged at each download, and shown where its progress is.

    Raises
    ------
    FileNotFoundError
        If it is nowhere and cannot be downloaded; the message says where to put it.
    UnsupportedError
        If it would have to be downloaded and pooch is not installed.
    ValueError
        If a checksum does not agree.
    """
    folder = settings().data_dir
    if folder is not None and (folder / source.local).is_file():
        return verified(folder, source.local)
    cache = settings().cache_dir / "datasets"
    return _downloaded(source, cache)


def verified(folder: Path, local: str) -> Path:
    """Return a file of a data folder, having compared it with the folder's manifest, if that names it."""
    path = folder / local
    wanted = _manifest(folder).get(local)
    found = None if wanted is None else _sha256(path, path.stat().st_mtime_ns)
    if found != wanted:
        raise ValueError(f"{path} has the SHA-256 {found}, but MANIFEST.csv says {wanted}")
    return path


def in_manifest(stem: str) -> Path | None:
    """Return the Matrix Market file of that name in the data folder, if there is one."""
    folder = settings().data_dir
    if folder is None:
        return None
    for local in _manifest(folder):
        if Path(local).name in (f"{stem}.mtx", f"{stem}.mtx.gz") and (folder / local).is_file():
            return verified(folder, local)
    return None


def _downloaded(source: Source, cache: Path) -> Path:
    name = f"{source.name}{_suffixes(source.url)}"
    try:
        pooch: Any = importlib.import_module("pooch")
    except ImportError:
        raise UnsupportedError(
            f"{source.name} is not in DEEPGEMM_DATA_DIR, and downloading it needs pooch: "
            'pip install "deepgemm[datasets]"'
        ) from None
    terms = f"licence: {source.licence}\ncite: {source.citation}"
    if not (cache / name).is_file():
        _log.info("downloading %s\n%s", source.name, terms)
    pooch.get_logger().setLevel(logging.WARNING)  # it prints what it does; ours says it to logging
    known = f"sha256:{source.sha256}" if source.sha256 else None
    loader = pooch.HTTPDownloader(progressbar=_Bar(source.name, terms) if sys.stderr.isatty() else False)
    try:
        return Path(pooch.retrieve(source.url, known, fname=name, path=cache, downloader=loader))
    except OSError as error:  # requests' errors are such, too
        raise FileNotFoundError(
            f"{source.name} could not be downloaded from {source.url} ({type(error).__name__}); "
            f"without a network, put that file at {cache / name}, "
            f"or set DEEPGEMM_DATA_DIR to a folder with {source.local}"
        ) from error


def _suffixes(url: str) -> str:
    return ".tar.gz" if url.endswith(".tar.gz") else Path(url).suffix


class _Bar:
    """A progress bar on stderr below the terms of use, with the methods by which pooch drives one."""

    def __init__(self, name: str, terms: str) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self.total = 0
        self._terms = terms
        self._progress = Progress(transient=True, console=Console(stderr=True))
        self._task = self._progress.add_task(name)

    def update(self, amount: int) -> None:
        if self._terms:  # what a download has not begun for needs none
            self._progress.console.print(self._terms, markup=False, highlight=False)
            self._terms = ""
        self._progress.start()
        self._progress.update(self._task, total=self.total or None, advance=amount)

    def reset(self) -> None:
        self._progress.reset(self._task)

    def close(self) -> None:
        self._progress.stop()


@lru_cache(maxsize=4)
def _manifest(folder: Path) -> dict[str, str]:
    """Return the checksum of each file that a data folder lists."""
    path = folder / "MANIFEST.csv"
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["file"]: row["sha256"] for row in csv.DictReader(file) if row.get("sha256")}


@lru_cache(maxsize=256)
def _sha256(path: Path, changed: int) -> str:
    """Return a file's checksum; `changed` is its time of change, so that it is read once for each."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
