# SPDX-License-Identifier: MIT
"""The first result of a new pool, from its creation.

Cold: in a process that has just started, and has imported what it needs. Warm: where there was such a pool
before, which has been shut down.
"""

import subprocess
import sys
import time
from functools import partial

from common import tasks
from common.contenders import EXECUTORS, STDLIB, present
from common.harness import Result, compare, main, with_environment

WORKERS = 2
NAME = "--first-result-of"


def first_result(name: str) -> float:
    """Seconds until a new pool gives its first result."""
    start = time.perf_counter()
    executor = EXECUTORS[name].make(WORKERS)
    executor.submit(tasks.same, 1).result()
    took = time.perf_counter() - start
    executor.shutdown()
    return took


def first_result_of_process(name: str) -> float:
    """The same, of a new process."""
    command = [sys.executable, __file__, NAME, name]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def cold() -> Result:
    """Each time in a new process."""
    names, left_out = present(EXECUTORS)
    sides = {name: partial(first_result_of_process, name) for name in names}
    return compare(
        "first result of a new pool, cold", {STDLIB: 1 / 3}, 9, notes=left_out, sides=sides
    )


def warm() -> Result:
    """All in this process, again and again."""
    names, left_out = present(EXECUTORS)
    sides = {name: partial(first_result, name) for name in names}
    return compare(
        "first result of a new pool, warm", {STDLIB: 1 / 50}, 15, notes=left_out, sides=sides
    )


if __name__ == "__main__":
    if sys.argv[1:2] == [NAME]:
        EXECUTORS[sys.argv[2]].load()
        print(first_result(sys.argv[2]))
        sys.exit()
    with_environment()
    main(__doc__, cold, warm)
