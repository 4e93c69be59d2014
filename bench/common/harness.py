# SPDX-License-Identifier: MIT
"""Paired measurements: the sides of a comparison take turns, and their ratio counts.

An absolute time says little on a shared machine. In each round every side is measured once, right after
the other; what is reported of a side is the median of its rounds, and what is compared is the median of
the ratios within a round. Rounds in which other programs were busy are done again, some times.
"""

import argparse
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

Measure = Callable[[], float]
Sample = dict[str, float]

BENCH = Path(__file__).resolve().parent.parent

QUIET = 0.05  # of the processors' time, for other programs: less is as good as nothing
PATIENCE = 2  # times as many rounds as wanted, at most
SPELL = 0.04  # seconds that one side of a round takes, if nothing else is asked for

# How all questions are asked. It is the workers that are to run in parallel, not what numpy and others start
# by themselves; and all kinds of workers have to find common.tasks.
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONPATH": str(BENCH),
}


class Skipped(Exception):
    """A question cannot be asked here; the message says why."""


class Settings:
    """What the command line has changed."""

    rounds: int | None = None  # at most so many


def need(package: str) -> None:
    """Skip the question if the package is not installed."""
    if importlib.util.find_spec(package) is None:
        raise Skipped(f"{package} is not installed")


def need_version(minor: int, why: str) -> None:
    """Skip the question on older versions."""
    if sys.version_info < (3, minor):
        raise Skipped(f"{why} needs CPython 3.{minor}")


@dataclass
class Ratio:
    """Our value as a fraction of another side's; half of the rounds were between low and high."""

    ratio: float
    low: float
    high: float


@dataclass
class Result:
    """One comparison: a value of each side, ours first. Less is better."""

    question: str
    values: dict[str, float]
    ratios: dict[str, Ratio]  # to each of the other sides
    promises: dict[str, float] = field(default_factory=dict)  # the largest ratio to a side
    unit: str = "s"  # or "B"
    others: float = 0  # the share of the processors' time that other programs had
    reference: float | None = None  # the ratio that is the best to be had on this machine
    notes: list[str] = field(default_factory=list)

    def broken(self) -> dict[str, float]:
        """The promises that are not kept."""
        return {
            side: bound for side, bound in self.promises.items() if self.ratios[side].ratio > bound
        }


class Others:
    """How busy other programs have been since this was made."""

    def __init__(self) -> None:
        self.began, self.before = time.monotonic(), self.used()

    @staticmethod
    def of_descendants(pid: int | str) -> float:
        """Ticks of all processes that a process has, their ended children's included."""
        ticks = 0
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            for task in Path(f"/proc/{pid}/task").iterdir():
                for child in (task / "children").read_text().split():
                    ticks += Others.of_descendants(child)
                    fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
                    ticks += sum(map(int, fields[11:15]))
        return ticks

    @staticmethod
    def used() -> float:
        """Seconds of processor time that all but this process and its descendants have had."""
        tick = os.sysconf("SC_CLK_TCK")
        user, nice, system, _, _, *rest = Path("/proc/stat").read_text().split()[1:9]
        mine = sum(os.times()[:4]) * tick + Others.of_descendants("self")
        return (sum(map(int, (user, nice, system, *rest))) - mine) / tick

    def share(self) -> float:
        """The share of the processors' time that they have had."""
        available = (time.monotonic() - self.began) * (os.cpu_count() or 1)
        return min(1.0, max(0.0, self.used() - self.before) / available)


@dataclass
class Samples:
    """The values of all sides in the rounds that count."""

    rounds: list[Sample]
    others: float
    best: bool

    def value(self, side: str) -> float:
        """The value of a side: the median, or the least."""
        values = [sample[side] for sample in self.rounds]
        return min(values) if self.best else statistics.median(values)

    def ratio(self, ours: str, theirs: str) -> Ratio:
        """The ratio of two sides: the median of the rounds' ratios, or the ratio of the least values."""
        within = [sample[ours] / sample[theirs] for sample in self.rounds]
        ratio = self.value(ours) / self.value(theirs) if self.best else statistics.median(within)
        low, _, high = statistics.quantiles(within, n=4) if len(within) > 1 else within * 3
        return Ratio(ratio, min(low, ratio), max(high, ratio))


def measure(
    sides: Mapping[str, Measure],
    rounds: int = 7,
    *,
    best: bool = False,
    warm_up: bool = True,
    patience: int = PATIENCE,
) -> Samples:
    """Measure the sides in turn, in `rounds` quiet rounds after a warm-up.

    Args:
        sides: functions that measure once and return seconds per operation.
        rounds: how many rounds count: if there are not as many quiet ones, the quietest.
        best: the least of each side counts in place of the median: for what keeps all processors busy,
            where whatever else the machine does can only add to it.
        warm_up: measure each side once more at first, which does not count.
        patience: so many times as many rounds are tried to have quiet ones: 1 if time does not matter.
    """
    rounds = min(rounds, Settings.rounds or rounds)
    for once in sides.values() if warm_up else ():
        once()
    samples: list[tuple[float, Sample]] = []
    quiet = 0
    while quiet < rounds and len(samples) < rounds * patience:
        others = Others()
        order = list(sides) if len(samples) % 2 == 0 else list(reversed(sides))
        values = {name: sides[name]() for name in order}
        samples.append((others.share(), values))
        quiet += samples[-1][0] <= QUIET
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    samples.sort(key=lambda sample: sample[0])
    shares, counted = zip(*samples[:rounds], strict=True)
    return Samples(list(counted), statistics.median(shares), best)


def judge(
    question: str,
    samples: Samples,
    sides: Iterable[str],
    promises: Mapping[str, float],
    *,
    unit: str = "s",
    notes: Iterable[str] = (),
) -> Result:
    """Make the result out of some of the sides, the first of which is ours.

    A promise about a side that there is not on this version is left out.
    """
    ours, *theirs = sides
    return Result(
        question,
        {side: samples.value(side) for side in (ours, *theirs)},
        {side: samples.ratio(ours, side) for side in theirs},
        {side: bound for side, bound in promises.items() if side in theirs},
        unit,
        samples.others,
        notes=list(notes),
    )


def compare(
    question: str,
    promises: Mapping[str, float],
    rounds: int = 7,
    *,
    best: bool = False,
    warm_up: bool = True,
    notes: Iterable[str] = (),
    sides: Mapping[str, Measure],
) -> Result:
    """Measure the sides, of which ours is the first: see measure() and judge()."""
    samples = measure(sides, rounds, best=best, warm_up=warm_up)
    return judge(question, samples, sides, promises, notes=notes)


def compare_two(
    question: str, wanted: float, rounds: int = 7, *, best: bool = False, **sides: Measure
) -> Result:
    """Measure two sides, where our value must be at most `wanted` times the second side's."""
    _, theirs = sides
    return compare(question, {theirs: wanted}, rounds, best=best, sides=sides)


def per_call(function: Callable[[], object], number: int) -> float:
    """Seconds a call, over `number` calls."""
    start = time.perf_counter()
    for _ in range(number):
        function()
    return (time.perf_counter() - start) / number


def spell(function: Callable[[int], float], seconds: float = SPELL, most: int = 100_000) -> Measure:
    """Return a measure that has the function do as many operations as take about so many seconds.

    Args:
        function: does a number of operations, and returns the seconds of one.
        seconds: how long each measurement takes. The first one, which is the warm-up, finds the number.
        most: the largest number.
    """
    number = 0

    def once() -> float:
        nonlocal number
        if number == 0:
            first = function(1)
            if first < seconds:
                few = max(1, min(most, int(seconds / 10 / function(1))))
                first = function(few)
            number = max(1, min(most, int(seconds / first)))
            if number == 1:
                return first
        return function(number)

    return once


def calls(function: Callable[[], object], seconds: float = SPELL) -> Measure:
    """Return a measure that calls the function again and again for about so many seconds."""
    return spell(lambda number: per_call(function, number), seconds)


Question = Callable[[], "Result | list[Result]"]


def with_environment() -> None:
    """Start this program again in the environment for questions, unless it has that."""
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        arguments = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, arguments, os.environ | ENVIRONMENT)


def ask(questions: Iterable[Question]) -> tuple[list[Result], list[str]]:
    """Ask the questions; return the results, and what could not be asked and why."""
    results: list[Result] = []
    skipped = []
    for question in questions:
        print(f"  {question.__name__} ", end="", file=sys.stderr, flush=True)
        try:
            found = question()
        except Skipped as reason:
            print(f"skipped: {reason}", file=sys.stderr)
            skipped.append(f"{question.__name__}: {reason}")
            continue
        results += [found] if isinstance(found, Result) else found
    return results, skipped


def main(about: str, *questions: Question) -> None:
    """Be a script that asks the questions: print its table, or write JSON. Exit status 1 if a promise is broken.

    Args:
        about: the script's __doc__, whose first line is the title of the table.
        questions: functions, known by their names.
    """
    known = {question.__name__: question for question in questions}
    parser = argparse.ArgumentParser(description=about, epilog=f"Questions: {', '.join(known)}.")
    parser.add_argument("names", nargs="*", metavar="QUESTION", help="default: all")
    parser.add_argument("--rounds", type=int, help="at most so many")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write JSON in place of the table"
    )
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        parser.error(f"unknown question {unknown[0]!r}: choose from {', '.join(known)}")
    with_environment()
    Settings.rounds = arguments.rounds
    results, skipped = ask(known[name] for name in arguments.names or known)
    answer = {
        "script": Path(sys.argv[0]).stem,
        "title": about.strip().splitlines()[0].rstrip("."),
        "results": [asdict(result) for result in results],
        "skipped": skipped,
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(answer, indent=1))
    else:
        from common.report import script_table

        print(script_table(answer))
    sys.exit(any(result.broken() for result in results))
