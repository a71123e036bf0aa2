"""Interleaved timing with contenders whose seconds are known."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from deepgemm.cli.timing import Timing, interleave


@dataclass
class Fake:
    name: str
    seconds: list[float]
    fails_at: int = -1
    asked: list[int] = field(default_factory=list)

    def time(self, calls: int) -> list[float]:
        if len(self.asked) == self.fails_at:
            raise RuntimeError(f"{self.name} is gone")
        self.asked.append(calls)
        return [self.seconds[(len(self.asked) - 1) % len(self.seconds)]] * calls


def test_median_over_rounds() -> None:
    # The first entry is the trial that decides on the number of calls.
    slow = Fake("slow", [0.01, 0.01, 0.03, 0.02])
    found = interleave([slow], rounds=3, budget=0.1)["slow"]
    assert found == Timing(0.02, 0.01, 0.03, 30)
    assert slow.asked == [1, 10, 10, 10]


@pytest.mark.parametrize(("seconds", "calls"), [(1e-9, 1000), (10.0, 3)])
def test_number_of_calls_is_bounded(seconds: float, calls: int) -> None:
    fake = Fake("a", [seconds])
    interleave([fake], rounds=1)
    assert fake.asked == [1, calls]


def test_each_round_begins_with_another() -> None:
    order: list[str] = []
    contenders = [Fake(name, [1.0]) for name in "abc"]
    interleave(contenders, rounds=3, advance=order.append)
    assert "".join(order) == "abcbcacab"


def test_one_that_fails_does_not_end_the_others() -> None:
    found = interleave(
        [Fake("good", [1.0]), Fake("bad", [1.0], fails_at=2)], rounds=3, failed=(RuntimeError,)
    )
    assert isinstance(found["good"], Timing)
    assert found["bad"] == "bad is gone"


def test_unexpected_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="bad is gone"):
        interleave([Fake("bad", [1.0], fails_at=0)])


def test_nothing_to_time() -> None:
    assert interleave([]) == {}
