# SPDX-License-Identifier: MIT
"""An array to a worker that looks at its last number, and the result back.

Interpreters of this process look at the memory that they are lent; a process gets a copy.
"""

import array
from collections.abc import Callable
from typing import Any

from common import tasks
from common.contenders import (
    LOKY,
    OURS,
    POOL,
    PRIVATE,
    PROCESSES,
    STDLIB,
    THREADS,
    executors,
    present,
)
from common.harness import Result, calls, compare, main, need

WORKERS = 2
SIZES = {"1 MB": 125_000, "16 MB": 2_000_000, "64 MB": 8_000_000}


def over_executors(
    kind: str,
    names: list[str],
    function: Callable[[Any], float],
    make: Callable[[int], Any],
    sizes: int = len(SIZES),
) -> list[Result]:
    """Ask for arrays of the first so many sizes."""
    there, left_out = present(names)
    results = []
    with executors(there, WORKERS) as made:
        for executor in made.values():  # each worker imports what it needs
            for future in [executor.submit(function, make(1)) for _ in range(4 * WORKERS)]:
                future.result()
        for size, count in list(SIZES.items())[:sizes]:
            obj = make(count)
            sides = {
                name: calls(
                    lambda executor=made[name], obj=obj: executor.submit(function, obj).result()
                )
                for name in there
            }
            question = f"{kind} of {size} to a worker"
            results.append(compare(question, {}, 5, notes=left_out, sides=sides))
    return results


def memory_views() -> list[Result]:
    """Arrays of the array module. concurrent.interpreters lends only what it is given as a memoryview."""
    return over_executors(
        "memoryview",
        [OURS, PRIVATE, STDLIB, THREADS],
        tasks.last_of,
        lambda count: memoryview(array.array("d", bytes(8 * count))),
    )


def plain_arrays() -> list[Result]:
    """The arrays themselves."""
    return over_executors(
        "array.array",
        [OURS, PRIVATE, STDLIB, PROCESSES, THREADS, POOL, LOKY],
        tasks.last_of,
        lambda count: array.array("d", bytes(8 * count)),
        2,
    )


def numpy_arrays() -> list[Result]:
    """Arrays of numpy, which the interpreters of the standard library cannot import."""
    need("numpy")
    import numpy

    return over_executors(
        "numpy array",
        [PRIVATE, PROCESSES, THREADS, POOL, LOKY],
        tasks.last_of_numpy,
        numpy.zeros,
    )


if __name__ == "__main__":
    main(__doc__, memory_views, plain_arrays, numpy_arrays)
