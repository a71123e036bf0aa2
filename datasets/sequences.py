"""A fixed-seed generator of ragged data: sequences of ids, as sessions, bags and texts have them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..sparse import Ragged
from .generators import check_size, log_normal_counts, zipf_items

__all__ = ["sequences"]


def sequences(
    segments: int = 10_000,
    ids: int = 50_000,
    *,
    mean: float = 40.0,
    exponent: float = 0.8,
    spread: float = 1.0,
    longest: int | None = None,
    dtype: npt.DTypeLike = np.int32,
    seed: int = 0,
) -> Ragged:
    """Return sequences of ids with the two skews of sessions and texts.

    Lengths are Poisson counts around a log-normal law, so some segments are empty and few are very long;
    ids follow Zipf's law, as in `interactions`, and may repeat within a segment.

    Parameters
    ----------
    segments, ids : int
        How many of them.
    mean : float
        Length of a segment, on average, before long ones are cut.
    exponent : float
        Zipf's exponent: the id of rank r is drawn in proportion to ``r ** -exponent``.
    spread : float
        Standard deviation of the logarithm of the lengths; 0 makes them nearly alike.
    longest : int, optional
        Longer segments are cut to this length.
    dtype : dtype_like
        Of the ids.
    seed : int
        The same arguments always give the same sequences.

    Returns
    -------
    Ragged
        Of ids from 0 to ``ids - 1``.

    Examples
    --------
    >>> from deepgemm.datasets import sequences
    >>> r = sequences(100, 1000, mean=5, longest=20)
    >>> len(r), r.max_length <= 20
    (100, True)
    """
    check_size(segments, ids, segments * mean)
    rng = np.random.default_rng(seed)
    if segments == 0 or ids == 0:
        return Ragged(np.zeros(0, dtype), lengths=np.zeros(segments, np.int64))
    lengths = log_normal_counts(rng, segments, mean, spread)
    if longest is not None:
        lengths = np.minimum(lengths, longest)
    return Ragged(zipf_items(rng, ids, int(lengths.sum()), exponent).astype(dtype), lengths=lengths)
