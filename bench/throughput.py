# SPDX-License-Identifier: MIT
"""map() over a pool of two workers, per task, by how long a task takes.

Each executor has its own default for the size of chunks, unless it is said otherwise: ours chooses, and
so does multiprocessing.Pool; those of concurrent.futures send tasks one by one.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from common import tasks
from common.contenders import (
    EXECUTORS,
    LOKY,
    OURS,
    PRIVATE,
    PROCESSES,
    STDLIB,
    THREADS,
    executors,
    present,
)
from common.harness import Result, compare, main, per_call, spell

WORKERS = 2
MANY = 10_000

# Microseconds that a task takes, and how long a measurement does.
SIZES = {100: 0.1, 1000: 0.15, 10_000: 0.3}


def map_seconds(executor: Any, function: Callable[[int], Any], item: int, number: int) -> float:
    """Seconds a task, of so many alike."""
    items = [item] * number
    start = time.perf_counter()
    deque(executor.map(function, items), maxlen=0)
    return (time.perf_counter() - start) / number


def over_executors(
    question: str,
    promises: dict[str, float],
    function: Callable[[int], Any],
    item: int,
    seconds: float,
    names: Iterable[str] = EXECUTORS,
    **options: Any,
) -> Result:
    """Ask for all executors."""
    there, left_out = present(names)
    with executors(there, WORKERS) as made:
        for executor in made.values():
            executor.map = partial(executor.map, **options)
        sides = {
            name: spell(partial(map_seconds, executor, function, item), seconds, MANY)
            for name, executor in made.items()
        }
        return compare(question, promises, notes=left_out, sides=sides)


def trivial() -> Result:
    """Tasks that do nothing: 10,000 of them, of slow executors as many as there is time for."""
    promises = {STDLIB: 1 / 20, THREADS: 1}
    return over_executors("map of up to 10,000 tasks that do nothing", promises, tasks.same, 1, 0.3)


def trivial_in_chunks() -> Result:
    """The same with chunks of 1,000 for the executors that have chunks."""
    return over_executors(
        "the same, chunksize=1000",
        {},
        tasks.same,
        1,
        0.1,
        (OURS, PRIVATE, PROCESSES, LOKY),
        chunksize=1000,
    )


def by_size() -> list[Result]:
    """Tasks that compute."""
    second = per_call(partial(tasks.compute, 10_000), 50) / 10_000
    return [
        over_executors(
            f"map of tasks of {size / 1000:g} ms",
            {},
            tasks.compute,
            int(size / 1e6 / second),
            seconds,
        )
        for size, seconds in SIZES.items()
    ]


if __name__ == "__main__":
    main(__doc__, trivial, trivial_in_chunks, by_size)
