# SPDX-License-Identifier: MIT
"""Paired measurements: the sides of a comparison take turns, and the ratio of medians counts.

An absolute time says little on a shared machine. What is reported of each side is the median of
its rounds; what is compared is the ratio to the second side. Rounds in which other programs were
busy are done again, some times.
"""

import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

Measure = Callable[[], float]

QUIET = 0.05  # of the processors' time, for other programs: less is as good as nothing
PATIENCE = 2  # times as many rounds as wanted, at most


class Skipped(Exception):
    """A question cannot be asked here; the message says why."""


def need(package: str) -> None:
    """Skip the question if the package is not installed."""
    if importlib.util.find_spec(package) is None:
        raise Skipped(f"{package} is not installed")


@dataclass
class Result:
    """One comparison: seconds of each side per operation, ours first.

    A third and a fourth side are those of a reference: what else can be had on this machine.
    """

    question: str
    seconds: dict[str, float]
    wanted: float  # our time must be at most this fraction of the second side's
    others: float  # the share of the processors' time that other programs had

    @property
    def ratio(self) -> float:
        """Our time as a fraction of the second side's."""
        ours, theirs = list(self.seconds.values())[:2]
        return ours / theirs

    @property
    def reference(self) -> float | None:
        """The ratio of the third side to the fourth, if there are such."""
        third = list(self.seconds.values())[2:4]
        return third[0] / third[1] if third else None

    @property
    def ok(self) -> bool:
        """Whether the ratio is what the project promises."""
        return self.ratio <= self.wanted

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self) | {"ratio": self.ratio, "reference": self.reference, "ok": self.ok}


class Others:
    """How busy other programs have been since this was made."""

    def __init__(self) -> None:
        self.began, self.before = time.monotonic(), self.used()

    @staticmethod
    def used() -> float:
        """Seconds of processor time that all but this process and its children have had."""
        tick = os.sysconf("SC_CLK_TCK")
        user, nice, system, _, _, *rest = Path("/proc/stat").read_text().split()[1:9]
        mine = sum(os.times()[:4]) * tick
        for task in Path("/proc/self/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                for child in (task / "children").read_text().split():
                    fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
                    mine += sum(map(int, fields[11:15]))
        return (sum(map(int, (user, nice, system, *rest))) - mine) / tick

    def share(self) -> float:
        """The share of the processors' time that they have had."""
        available = (time.monotonic() - self.began) * (os.cpu_count() or 1)
        return max(0.0, self.used() - self.before) / available


def compare(
    question: str, wanted: float, rounds: int = 7, *, best: bool = False, **sides: Measure
) -> Result:
    """Measure the sides in turn, in `rounds` quiet rounds after a warm-up, and take medians.

    Args:
        question: what is compared.
        wanted: the largest ratio of our time to the second side's that keeps the promise.
        rounds: how many rounds count: if there are not as many quiet ones, the quietest.
        best: take the least time of each side in place of the median: for what keeps all processors
            busy, where whatever else the machine does can only add to it.
        sides: functions that measure once and return seconds per operation; ours first.
    """
    for measure in sides.values():
        measure()
    samples: list[tuple[float, dict[str, float]]] = []
    quiet = 0
    while quiet < rounds and len(samples) < rounds * PATIENCE:
        others = Others()
        times = {name: measure() for name, measure in sides.items()}
        samples.append((others.share(), times))
        quiet += samples[-1][0] <= QUIET
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    samples.sort(key=lambda sample: sample[0])
    shares, counted = zip(*samples[:rounds], strict=True)
    summary = min if best else statistics.median
    seconds = {name: summary(times[name] for times in counted) for name in sides}
    return Result(question, seconds, wanted, statistics.median(shares))


def readable(seconds: float) -> str:
    """A time with a unit that suits it."""
    for unit, factor in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
