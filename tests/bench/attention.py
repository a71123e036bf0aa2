"""Times attention within segments against torch, side by side.

    DEEPGEMM_DATA_DIR=path/to/datasets python tests/bench/attention.py

Each contender runs in a process of its own, so that no thread pool spins beside another. Lengths are those of
some of the real sessions and texts. torch pads: `scaled_dot_product_attention` with a mask, and two batched
products with a masked softmax between them; or it goes through the segments one by one.
"""

from __future__ import annotations

import gzip
import itertools
import json
import math
import sys
from collections.abc import Callable, Iterator

import numpy as np
from contenders import figures_of, median_seconds

from deepgemm.config import settings

CONTENDERS = ("deepgemm", "one_by_one", "sdpa", "padded")
FILES = {
    "sessions": ("ragged-sessions/s3rec_Beauty.lengths.txt.gz", 200),
    "sentences": ("ragged-text/en_ewt-ud-dev.lengths.txt.gz", 150),
    "paragraphs": ("ragged-text/wikitext2_valid.lengths.txt.gz", 24),
    "posts": ("ragged-text/20news_train.lengths.txt.gz", 8),
}
HEADS, WIDTH = 4, 64
SECONDS = 0.1  # of repetitions for each figure

Case = tuple[str, np.ndarray, list[np.ndarray], bool]


def cases() -> Iterator[Case]:
    """Yield names, offsets, queries with keys and values, and whether attention is causal."""
    rng = np.random.default_rng(0)
    folder = settings().data_dir
    if folder is None:
        raise SystemExit("DEEPGEMM_DATA_DIR is not set: there are no lengths to read")
    for name, (file, segments) in FILES.items():
        with gzip.open(folder / file, "rt") as lines:
            counts = np.loadtxt(lines, dtype=np.int64)
        counts = rng.permutation(counts[counts > 0])[:segments]
        offsets = np.concatenate(([0], np.cumsum(counts)))
        arrays = [rng.standard_normal((offsets[-1], HEADS, WIDTH), dtype=np.float32) for _ in range(3)]
        for causal in (False, True):
            yield f"{name}{' causal' if causal else ''}", offsets, arrays, causal


def deepgemm_call(offsets: np.ndarray, arrays: list[np.ndarray], causal: bool) -> Callable[[], object]:
    import deepgemm as dg

    parts = [dg.Ragged(x, offsets) for x in arrays]
    return lambda: dg.ragged_attention(*parts, causal=causal)


def one_by_one_call(offsets: np.ndarray, arrays: list[np.ndarray], causal: bool) -> Callable[[], object]:
    import torch

    q, k, v = (torch.from_numpy(x).transpose(0, 1)[None] for x in arrays)
    pieces = [slice(*pair) for pair in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]
    attend = torch.nn.functional.scaled_dot_product_attention
    return lambda: [attend(q[:, :, p], k[:, :, p], v[:, :, p], is_causal=causal) for p in pieces]


def padded(offsets: np.ndarray, arrays: list[np.ndarray], causal: bool) -> tuple[list, object]:
    import torch

    lengths = np.diff(offsets)
    longest = int(lengths.max())
    batch = [torch.zeros(len(lengths), HEADS, longest, WIDTH) for _ in arrays]
    for number, (begin, end) in enumerate(itertools.pairwise(offsets)):
        for x, to in zip(arrays, batch, strict=True):
            to[number, :, : end - begin] = torch.from_numpy(x[begin:end]).transpose(0, 1)
    mask = (torch.arange(longest) < torch.from_numpy(lengths)[:, None])[:, None, None]
    if causal:
        mask = mask & torch.ones(longest, longest, dtype=torch.bool).tril()
    return batch, mask


def sdpa_call(offsets: np.ndarray, arrays: list[np.ndarray], causal: bool) -> Callable[[], object]:
    import torch

    batch, mask = padded(offsets, arrays, causal)
    return lambda: torch.nn.functional.scaled_dot_product_attention(*batch, attn_mask=mask)


def padded_call(offsets: np.ndarray, arrays: list[np.ndarray], causal: bool) -> Callable[[], object]:
    import torch

    (q, k, v), mask = padded(offsets, arrays, causal)

    def attend() -> object:
        scores = torch.matmul(q, k.transpose(-1, -2)).mul_(1 / math.sqrt(WIDTH)).masked_fill_(~mask, -1e30)
        return torch.matmul(torch.softmax(scores, -1), v)

    return attend


def measure(contender: str) -> None:
    """Print the seconds of one contender as JSON."""
    make = globals()[f"{contender}_call"]
    print(json.dumps({case: median_seconds(make(*rest), SECONDS) for case, *rest in cases()}))


def main() -> None:
    seconds = figures_of(__file__, CONTENDERS)
    print(f"{'case':20} {'deepgemm':>12} " + " ".join(f"{name:>11}" for name in CONTENDERS[1:]))
    for case, ours in seconds["deepgemm"].items():
        ratios = [seconds[peer].get(case) for peer in CONTENDERS[1:]]
        text = " ".join(f"{theirs / ours:10.1f}×" if theirs else " " * 11 for theirs in ratios)
        print(f"{case:20} {ours * 1e3:9.2f} ms {text}")


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
