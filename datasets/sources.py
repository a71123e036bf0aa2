"""Which real sets are known by name: where each comes from, its checksum, licence and citation."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Source", "about", "names"]


@dataclass(frozen=True)
class Terms:
    """What the authors of a kind of data ask for."""

    licence: str
    citation: str


_TERMS = {
    "movielens": Terms(
        "GroupLens ml-latest-small of October 2016: redistribution under the same terms only, with "
        "its README; no commercial use without permission",
        "F. M. Harper, J. A. Konstan, The MovieLens datasets: history and context, ACM TiiS 5(4), 2015",
    ),
    "gowalla": Terms(
        "not stated by the source (check-ins of Gowalla, published by SNAP)",
        "E. Cho, S. A. Myers, J. Leskovec, Friendship and mobility, KDD 2011; the split is that of X. He "
        "et al., LightGCN, SIGIR 2020",
    ),
    "sessions": Terms(
        "not stated by the source (Amazon reviews)",
        "J. McAuley et al., Image-based recommendations on styles and substitutes, SIGIR 2015; the sequences "
        "are those of K. Zhou et al., S3-Rec, CIKM 2020",
    ),
    "dlmc": Terms(
        "not stated by the source (Deep Learning Matrix Collection, Google Research)",
        "T. Gale, M. Zaharia, C. Young, E. Elsen, Sparse GPU kernels for deep learning, SC 2020",
    ),
    "suitesparse": Terms(
        "CC BY 4.0",
        "T. A. Davis, Y. Hu, The University of Florida sparse matrix collection, ACM TOMS 38(1), 2011",
    ),
}


@dataclass(frozen=True)
class Source:
    """A file of a real data set.

    Attributes
    ----------
    name : str
        What loaders call it.
    kind : str
        "movielens", "gowalla", "sessions", "dlmc" or "suitesparse".
    local : str
        Its path in a data folder (`DEEPGEMM_DATA_DIR`), where it may be converted to Matrix Market.
    url : str
        Where it is downloaded from: one fixed version.
    sha256 : str
        Of what is downloaded; empty if not known.
    """

    name: str
    kind: str
    local: str
    url: str
    sha256: str

    @property
    def licence(self) -> str:
        """What is allowed, as far as the source states it."""
        return _TERMS[self.kind].licence

    @property
    def citation(self) -> str:
        """What to cite."""
        return _TERMS[self.kind].citation

    def __str__(self) -> str:
        facts = ("kind", "url", "licence", "citation")
        return "\n".join([self.name, *(f"  {fact:9} {getattr(self, fact)}" for fact in facts)])


def names(kind: str | None = None) -> list[str]:
    """Return the names of the real sets, of one kind or of all.

    Parameters
    ----------
    kind : str, optional
        "movielens", "gowalla", "sessions", "dlmc" or "suitesparse".

    Examples
    --------
    >>> from deepgemm import datasets
    >>> datasets.names("gowalla")
    ['gowalla_train', 'gowalla_test']
    """
    if kind is not None and kind not in _TERMS:
        raise ValueError(f"names: kind is {kind!r}, expected one of: {', '.join(_TERMS)}")
    return [source.name for source in _sources().values() if kind in (None, source.kind)]


def about(name: str) -> Source:
    """Return where a real set comes from, its licence and what to cite; `print` shows it.

    Examples
    --------
    >>> from deepgemm import datasets
    >>> print(datasets.about("west0067").licence)
    CC BY 4.0
    """
    source = _sources().get(name)
    if source is None:
        raise ValueError(f"about: {name!r} is no real set, expected one of: {', '.join(names())}")
    return source


def find(owner: str, kind: str, name: str) -> Source:
    """Return the source of that name and kind."""
    if name not in names(kind):
        raise ValueError(f"{owner}: name is {name!r}, expected one of: {', '.join(names(kind))}")
    return about(name)


@cache
def _sources() -> dict[str, Source]:
    with (Path(__file__).parent / "sources.csv").open(newline="", encoding="utf-8") as file:
        return {row["name"]: Source(**row) for row in csv.DictReader(file)}
