"""Times embedding bags against torch, and against reading the same rows without adding them, side by side.

    python tests/bench/bags.py

Each contender runs in a process of its own, so that no thread pool spins beside another. "again" repeats one
batch of ids, whose rows then lie in the caches; "fresh" goes through 16 batches. NumPy's arrays of megabytes
are in huge pages already. "rows" is `embedding_bag` with as many bags as ids, so nothing is summed: the
bandwidth of random rows as this library can have it.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterator

import numpy as np
from contenders import figures_of, median_seconds

CONTENDERS = ("torch", "deepgemm")
SHAPES = {  # rows, columns, bags, ids of a bag on average
    "1M × 64, pooling 20": (1_000_000, 64, 2048, 20),
    "1M × 64, pooling 100": (1_000_000, 64, 512, 100),
    "300k × 128, pooling 50": (300_000, 128, 1024, 50),
    "4M × 16, pooling 20": (4_000_000, 16, 4096, 20),
    "2M × 32, pooling 1": (2_000_000, 32, 16_384, 1),
}
BATCHES = 16
SECONDS = 0.5  # of repetitions for each figure

Bags = tuple[np.ndarray, np.ndarray]
Operations = dict[str, Callable[[Bags], object]]


def cases() -> Iterator[tuple[str, np.ndarray, list[Bags]]]:
    """Yield names, tables and batches of uniform ids with their n + 1 offsets."""
    for name, (rows, columns, bags, pooling) in SHAPES.items():
        rng = np.random.default_rng(0)
        table = rng.standard_normal((rows, columns), dtype=np.float32)
        batches = []
        for _ in range(BATCHES):
            offsets = np.concatenate(([0], np.cumsum(rng.poisson(pooling, bags))))
            batches.append((rng.integers(0, rows, int(offsets[-1])), offsets))
        yield name, table, batches


def torch_operations(table: np.ndarray) -> Operations:
    import torch

    floats, operators = torch.from_numpy(table), torch.ops.quantized
    tables = {
        "int8": (operators.embedding_bag_byte_prepack, operators.embedding_bag_byte_rowwise_offsets),
        "int4": (operators.embedding_bag_4bit_prepack, operators.embedding_bag_4bit_rowwise_offsets),
    }

    def plain(bags: Bags) -> object:
        ids, offsets = map(torch.from_numpy, bags)
        return torch.nn.functional.embedding_bag(ids, floats, offsets, mode="sum", include_last_offset=True)

    def quantised(kind: str) -> Callable[[Bags], object]:
        prepack, lookup = tables[kind]
        packed = prepack(floats)
        return lambda bags: lookup(packed, *map(torch.from_numpy, bags), include_last_offset=True)

    return {"float32": plain, **{kind: quantised(kind) for kind in tables}}


def deepgemm_operations(table: np.ndarray) -> Operations:
    import deepgemm as dg

    tables = {
        "float32": table,
        "int8": dg.quantize(table, "int8", axis=0),
        "int4": dg.quantize(table, "int4", axis=0),
    }
    found: Operations = {
        kind: lambda bags, one=one: dg.embedding_bag(one, bags, include_last_offset=True)
        for kind, one in tables.items()
    }
    found["rows"] = lambda bags: dg.embedding_bag(table, bags[0][:, None])
    return found


def measure(contender: str) -> None:
    """Print the seconds of one contender, and the bytes of float32 rows, as JSON."""
    found = {}
    for case, table, batches in cases():
        size = int(np.mean([len(ids) for ids, _ in batches])) * table.shape[1] * 4
        for name, call in globals()[f"{contender}_operations"](table).items():
            for which, some in (("again", batches[:1]), ("fresh", batches)):
                turns = itertools.cycle(some)
                median = median_seconds(
                    lambda one=call, turns=turns: one(next(turns)), SECONDS, 2 * len(some)
                )
                found[f"{case}, {name}, {which}"] = median, size
    print(json.dumps(found))


def main() -> None:
    figures = figures_of(__file__, CONTENDERS)
    print(f"{'case':40} {'deepgemm':>12} {'float32 rows':>13} {'against torch':>14}")
    for case, (ours, size) in figures["deepgemm"].items():
        theirs = figures["torch"].get(case)
        ratio = f"{theirs[0] / ours:13.2f}×" if theirs else ""
        print(f"{case:40} {ours * 1e6:9.1f} µs {size / ours / 1e9:8.1f} GB/s {ratio}")


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
