# SPDX-License-Identifier: MIT
"""Compare ratios with those of a baseline: which became worse than their spread allows?

The baseline has no times, which differ from machine to machine, only how our values compare with the other
sides': {"CPython 3.14": {question: {side: [ratio, low, high]}}}, where most rounds were between low and high.
"""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

SLACK = 1.25  # so many times what the spread explains is the same

Spread = list[float]  # ratio, low, high
Ratios = dict[str, dict[str, Spread]]  # question -> side


@dataclass
class Change:
    """One ratio, then and now."""

    question: str
    side: str
    before: Spread
    now: Spread

    def factor(self) -> float:
        """How many times the old ratio the new one is: more than 1 is worse."""
        return self.now[0] / self.before[0]

    def is_worse(self) -> bool:
        """Whether all that is likely now is beyond all that was likely then."""
        return self.now[1] > self.before[2] * SLACK

    def is_better(self) -> bool:
        """The same in the other direction."""
        return self.now[2] * SLACK < self.before[1]


def key(results: dict[str, Any]) -> str:
    """What of the baseline the results are to be compared with."""
    return f"CPython {'.'.join(results['python'].split('.')[:2])}"


def ratios_of(results: dict[str, Any]) -> Ratios:
    """All ratios of the results."""
    return {
        row["question"]: {
            side: [ratio["ratio"], ratio["low"], ratio["high"]]
            for side, ratio in row["ratios"].items()
        }
        for script in results["scripts"]
        for row in script["results"]
    }


def merge(runs: Iterable[Ratios]) -> Ratios:
    """The ratios of several runs: the median, the lowest low and the highest high."""
    found: dict[str, dict[str, list[Spread]]] = {}
    for run in runs:
        for question, sides in run.items():
            for side, spread in sides.items():
                found.setdefault(question, {}).setdefault(side, []).append(spread)
    return {
        question: {
            side: [
                statistics.median(spread[0] for spread in spreads),
                min(spread[1] for spread in spreads),
                max(spread[2] for spread in spreads),
            ]
            for side, spreads in sides.items()
        }
        for question, sides in found.items()
    }


def changes(baseline: Ratios, now: Ratios) -> list[Change]:
    """What is in both."""
    return [
        Change(question, side, before, now[question][side])
        for question, sides in baseline.items()
        for side, before in sides.items()
        if side in now.get(question, {})
    ]


def missing(baseline: Ratios, now: Ratios) -> list[str]:
    """The questions of the baseline that have not been asked now."""
    return [question for question in baseline if question not in now]


def better_of(first: Ratios, second: Ratios) -> Ratios:
    """Of what was measured twice, the lower ratio: what was once as good as ever has not become worse."""
    both = {question: dict(sides) for question, sides in first.items()}
    for question, sides in second.items():
        for side, spread in sides.items():
            old = both.setdefault(question, {}).get(side)
            if old is None or spread[0] < old[0]:
                both[question][side] = spread
    return both
