# SPDX-License-Identifier: MIT
"""From submit() to the result of a task that does nothing, in a pool of two workers.

The workers have nothing else to do; the tasks come one by one, or many at once.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from common import tasks
from common.contenders import EXECUTORS, PROCESSES, STDLIB, executors, present
from common.harness import Measure, Result, calls, compare, main, spell

WORKERS = 2


def over_executors(
    question: str, promises: dict[str, float], measure: Callable[[Any], Measure]
) -> Result:
    """Ask for all executors, which are open at the same time."""
    names, left_out = present(EXECUTORS)
    with executors(names, WORKERS) as made:
        sides = {name: measure(executor) for name, executor in made.items()}
        return compare(question, promises, notes=left_out, sides=sides)


def one_by_one(executor: Any) -> Measure:
    """Submit a task, wait for its result, again and again; a while before that counts.

    The pools take turns, and a processor that has rested takes its time to wake up.
    """

    def submit() -> None:
        executor.submit(tasks.same, 1).result()

    measure = calls(submit, 0.1)

    def once() -> float:
        end = time.perf_counter() + 0.05
        while time.perf_counter() < end:
            submit()
        return measure()

    return once


def many_at_once(executor: Any, number: int) -> float:
    """Submit all, then wait for all."""
    start = time.perf_counter()
    for future in [executor.submit(tasks.same, each) for each in range(number)]:
        future.result()
    return (time.perf_counter() - start) / number


def latency() -> Result:
    """One task at a time."""
    return over_executors("submit to result", {STDLIB: 1 / 10, PROCESSES: 1 / 5}, one_by_one)


def burst() -> Result:
    """All tasks before the first result is asked for."""
    return over_executors(
        "burst: submit up to 10,000, then all results, per task",
        {},
        lambda executor: spell(partial(many_at_once, executor), 0.2, 10_000),
    )


if __name__ == "__main__":
    main(__doc__, latency, burst)
