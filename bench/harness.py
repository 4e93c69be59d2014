# SPDX-License-Identifier: MIT
"""Paired measurements: the sides of a comparison take turns, and the ratio of medians counts.

An absolute time says little on a shared machine. What is reported of each side is the median of
its rounds; what is compared is the ratio to the first side, which is ours.
"""

import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass

Measure = Callable[[], float]


@dataclass
class Result:
    """One comparison: seconds of each side per operation, ours first."""

    question: str
    seconds: dict[str, float]
    wanted: float  # our time must be at most this fraction of the second side's

    @property
    def ratio(self) -> float:
        """Our time as a fraction of the second side's."""
        ours, theirs = list(self.seconds.values())[:2]
        return ours / theirs

    @property
    def ok(self) -> bool:
        """Whether the ratio is what the project promises."""
        return self.ratio <= self.wanted

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self) | {"ratio": self.ratio, "ok": self.ok}


def compare(question: str, wanted: float, rounds: int = 7, **sides: Measure) -> Result:
    """Measure the sides in turn, `rounds` times after one warm-up, and take medians.

    Args:
        question: what is compared.
        wanted: the largest ratio of our time to the second side's that keeps the promise.
        rounds: how many counted rounds.
        sides: functions that measure once and return seconds per operation; ours first.
    """
    samples: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, measure in sides.items():
            seconds = measure()
            if number > 0:
                samples[name].append(seconds)
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    medians = {name: statistics.median(times) for name, times in samples.items()}
    return Result(question, medians, wanted)


def readable(seconds: float) -> str:
    """A time with a unit that suits it."""
    for unit, factor in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
