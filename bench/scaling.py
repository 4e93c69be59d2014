# SPDX-License-Identifier: MIT
"""Pure Python work over a pool: how long several workers need for it, as a fraction of one.

The reference is what processes of ProcessPoolExecutor need, as a fraction of one: less cannot be had from
this machine. The least times count, since all processors are busy.
"""

import os
import time
from contextlib import ExitStack
from functools import partial
from typing import Any

from common import tasks
from common.contenders import (
    LOKY,
    OURS,
    PRIVATE,
    PROCESSES,
    STDLIB,
    THREADS,
    executors,
    present,
)
from common.harness import Result, judge, main, measure

NAMES = (OURS, PRIVATE, STDLIB, PROCESSES, THREADS, LOKY)
PARTS = 16
WORK = 60_000  # passes of a loop: some milliseconds
WANTED = 1 / 1.85  # of one worker, for two


def seconds(executor: Any) -> float:
    """Seconds of the whole work."""
    start = time.perf_counter()
    for future in [executor.submit(tasks.compute, WORK) for _ in range(PARTS)]:
        future.result()
    return time.perf_counter() - start


def counts() -> list[int]:
    """2, 4, 8... workers, as many as there are processors."""
    processors = len(os.sched_getaffinity(0))
    return [count for count in (2, 4, 8, 16, 32) if count <= processors] or [2]


def scaling() -> list[Result]:
    """Each executor, with several workers and with one."""
    names, left_out = present(NAMES)
    results = []
    with ExitStack() as stack:
        pools = {count: stack.enter_context(executors(names, count)) for count in [1, *counts()]}
        sides = {
            f"{name}, {count}": partial(seconds, executor)
            for count, made in pools.items()
            for name, executor in made.items()
        }
        samples = measure(sides, 15, best=True)
    for count in counts():
        for name in names:
            pair = f"{name}, {count}", f"{name}, 1"
            ours = name in (OURS, PRIVATE) and count == 2
            promises = {pair[1]: WANTED} if ours else {}
            question = f"pure Python on {count} workers, against one: {name}"
            result = judge(question, samples, pair, promises, notes=left_out)
            result.reference = samples.ratio(f"{PROCESSES}, {count}", f"{PROCESSES}, 1").ratio
            results.append(result)
    return results


if __name__ == "__main__":
    main(__doc__, scaling)
