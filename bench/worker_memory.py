# SPDX-License-Identifier: MIT
"""Memory of a worker, in pools of 1 to 200.

It is what the PSS of the process and all its descendants has grown by since before the pool was made,
divided by the number of workers: a page that is shared by n processes counts for 1/n in each. All workers
have a task while it is read. Each pool has a process of its own.
"""

import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from common import tasks
from common.contenders import EXECUTORS, LOKY, POOL, PRIVATE, PROCESSES, STDLIB, present
from common.harness import Result, Skipped, judge, main, measure

COUNTS = (1, 2, 10, 50, 100, 200)
SEVERAL = 10  # up to so many workers there are several rounds

# Those whose workers take long to start have fewer.
MOST = {PRIVATE: 50, PROCESSES: 100, POOL: 50, LOKY: 50}
PATIENCE = 90  # seconds for all workers to be there
A_WORKER = 30_000_000  # bytes, at most: no pool is asked for more than half of what is free

NAME = "--memory-of"


def tree_memory(pid: int | str) -> int:
    """The bytes of PSS of a process and its descendants."""
    total = 0
    with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(map(tree_memory, (task / "children").read_text().split()))
    return total


def growth(name: str, count: int) -> float:
    """What the memory of this process grows by for each worker."""
    contender = EXECUTORS[name]
    with tempfile.TemporaryDirectory() as folder:
        contender.load()
        before = tree_memory("self")
        executor = contender.make(count)
        futures = [executor.submit(tasks.stay, folder, number) for number in range(count)]
        end = time.monotonic() + PATIENCE
        while sum(1 for _ in Path(folder).iterdir()) < count:
            if time.monotonic() > end:
                sys.exit(f"{name}: not all of {count} workers are there after {PATIENCE} seconds")
            time.sleep(0.05)
        after = tree_memory("self")
        Path(folder, "go").touch()
        for future in futures:
            future.result()
        executor.shutdown()
    return (after - before) / count


def growth_of_process(name: str, count: int) -> float:
    """The same, of a new process."""
    command = [sys.executable, __file__, NAME, name, str(count)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def free_memory() -> int:
    """The bytes that are free."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise Skipped("the kernel does not tell how much memory is free")


def workers(count: int) -> Result:
    """Ask for pools of so many workers."""
    if count * A_WORKER > free_memory() / 2:
        raise Skipped(f"{count} workers might need more than half of the memory that is free")
    names, notes = present(EXECUTORS)
    notes += [
        f"{name} is asked for at most {MOST[name]} workers"
        for name in names
        if count > MOST.get(name, count)
    ]
    sides = {
        name: (lambda name=name: growth_of_process(name, count))
        for name in names
        if count <= MOST.get(name, count)
    }
    rounds = 3 if count <= SEVERAL else 1
    question = f"memory of a worker, in a pool of {count}"
    samples = measure(sides, rounds, warm_up=False, patience=1)
    return judge(question, samples, sides, {STDLIB: 0.8}, unit="B", notes=notes)


def memory() -> list[Result]:
    """Ask for pools of all sizes."""
    return [workers(count) for count in COUNTS]


if __name__ == "__main__":
    if sys.argv[1:2] == [NAME]:
        print(growth(sys.argv[2], int(sys.argv[3])))
        sys.exit()
    main(__doc__, memory)
