"""Times operations within segments against NumPy and torch, side by side.

    python tests/bench/segments.py

Each contender runs in a process of its own, so that no thread pool spins beside another. Lengths are those of
the real sessions and texts under `DEEPGEMM_DATA_DIR` and of generated sequences. NumPy reduces by
`reduceat`; of torch the best of `segment_reduce`, `index_add` or `scatter_reduce`, and jagged softmax counts.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable, Iterator

import numpy as np
from contenders import figures_of, median_seconds
from deepgemm.datasets import sequences

from deepgemm.config import settings

CONTENDERS = ("numpy", "torch", "deepgemm")
FILES = {
    "sessions": "ragged-sessions/s3rec_Beauty.lengths.txt.gz",
    "sentences": "ragged-text/en_ewt-ud-dev.lengths.txt.gz",
    "paragraphs": "ragged-text/wikitext2_valid.lengths.txt.gz",
    "posts": "ragged-text/20news_train.lengths.txt.gz",
}
COLUMNS = {
    "sessions": (0, 64),
    "sentences": (0, 128),
    "paragraphs": (0, 8),
    "posts": (0,),
    "generated": (0, 16),
}
SECONDS = 0.3  # of repetitions for each figure

Operations = dict[str, list[Callable[[], object]]]


def cases() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield names, offsets and values; rows of 0 columns are single numbers."""
    rng = np.random.default_rng(0)
    folder = settings().data_dir
    lengths = {"generated": sequences(20_000, 100, mean=25).lengths}
    for name, file in FILES.items():
        if folder is not None and (folder / file).is_file():
            with gzip.open(folder / file, "rt") as lines:
                lengths[name] = np.loadtxt(lines, dtype=np.int64)
    for name, counts in lengths.items():
        counts = counts[counts > 0]  # what `reduceat` and torch's maxima want
        offsets = np.concatenate(([0], np.cumsum(counts)))
        for columns in COLUMNS[name]:
            shape = (offsets[-1], columns) if columns else offsets[-1]
            yield f"{name} ×{columns or 1}", offsets, rng.standard_normal(shape, dtype=np.float32)


def numpy_operations(offsets: np.ndarray, x: np.ndarray) -> Operations:
    starts, lengths = offsets[:-1], np.diff(offsets)

    def softmax() -> np.ndarray:
        e = np.exp(x - np.repeat(np.maximum.reduceat(x, starts), lengths, axis=0))
        return e / np.repeat(np.add.reduceat(e, starts), lengths, axis=0)

    return {
        "sum": [lambda: np.add.reduceat(x, starts)],
        "max": [lambda: np.maximum.reduceat(x, starts)],
        "softmax": [softmax],
    }


def torch_operations(offsets: np.ndarray, x: np.ndarray) -> Operations:
    import torch

    values, where = torch.from_numpy(x), torch.from_numpy(offsets)
    n = len(offsets) - 1
    segment = torch.repeat_interleave(torch.arange(n), torch.from_numpy(np.diff(offsets)))
    spread = segment if x.ndim == 1 else segment[:, None].expand(-1, x.shape[1])
    shape = (n, *x.shape[1:])
    sums = [
        lambda v=values: torch.segment_reduce(v, "sum", offsets=where, axis=0),
        lambda v=values: torch.zeros(shape).index_add_(0, segment, v),
    ]
    maxima = [
        lambda: torch.segment_reduce(values, "max", offsets=where, axis=0),
        lambda: torch.full(shape, -np.inf).scatter_reduce_(0, spread, values, "amax"),
    ]

    def softmax(largest: Callable[[], torch.Tensor], total: Callable[..., torch.Tensor]) -> torch.Tensor:
        e = torch.exp(values - largest().index_select(0, segment))
        return e / total(e).index_select(0, segment)

    ways = [lambda m=m, s=s: softmax(m, s) for m, s in zip(maxima, sums, strict=True)]
    if x.ndim == 1:
        jagged = torch.nested.nested_tensor_from_jagged(values[:, None].contiguous(), where)
        ways.append(lambda: torch.softmax(jagged, dim=1))
    return {"sum": sums, "max": maxima, "softmax": ways}


def deepgemm_operations(offsets: np.ndarray, x: np.ndarray) -> Operations:
    import deepgemm as dg

    r = dg.Ragged(x, offsets)
    names = ("sum", "max", "softmax", "log_softmax", "layer_norm", "cumsum")
    return {name: [getattr(r, name)] for name in names}


def measure(contender: str) -> None:
    """Print the seconds of one contender as JSON."""
    operations = globals()[f"{contender}_operations"]
    found = {
        f"{case} {name}": min(median_seconds(way, SECONDS, least=5) for way in ways)
        for case, offsets, x in cases()
        for name, ways in operations(offsets, x).items()
    }
    print(json.dumps(found))


def main() -> None:
    seconds = figures_of(__file__, CONTENDERS)
    print(f"{'case':32} {'deepgemm':>12} {'NumPy':>8} {'torch':>8}")
    for case, ours in seconds["deepgemm"].items():
        ratios = [seconds[peer].get(case) for peer in ("numpy", "torch")]
        text = " ".join(f"{theirs / ours:7.1f}×" if theirs else " " * 8 for theirs in ratios)
        print(f"{case:32} {ours * 1e6:9.1f} µs {text}")


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
