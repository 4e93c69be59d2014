# SPDX-License-Identifier: MIT
"""The scanner of 2,000 loopback ports, 8 of them open, over pools (examples/portscanner/scan_pool.py).

Each time in a new process; the seconds are those of the scan, from making the pool to its end.
"""

import json
import subprocess
import sys
from functools import partial

from common.contenders import OURS, POOL, PROCESSES, STDLIB, THREADS, present
from common.harness import BENCH, Result, compare, main

EXAMPLE = BENCH.parent / "examples" / "portscanner"
PORTS = 2000
OPEN = 8
WORKERS = 8

# What scan_pool.py calls them.
POOLS = {
    OURS: "interpreters",
    STDLIB: "stdlib",
    PROCESSES: "processes",
    THREADS: "threads",
    POOL: "multiprocessing",
}


def scan(kind: str, first: int, opened: list[int]) -> float:
    """Seconds of a scan, whose result is checked."""
    ports = f"{first}-{first + PORTS - 1}"
    command = [sys.executable, "scan_pool.py", "--pool", kind, "--workers", str(WORKERS)]
    done = subprocess.run(
        [*command, "--ports", ports, "--json"],
        cwd=EXAMPLE,
        check=True,
        stdout=subprocess.PIPE,
    )
    answer = json.loads(done.stdout)
    if answer["open"] != opened:
        raise RuntimeError(f"{kind}: found {answer['open']}, but open are {opened}")
    return float(answer["seconds"])


def port_scanner() -> Result:
    """All pools have as many workers."""
    sys.path.append(str(EXAMPLE))
    from listeners import listening

    names, left_out = present(POOLS)
    offsets = [number * PORTS // OPEN for number in range(OPEN)]
    with listening(PORTS, offsets) as first:
        opened = [first + offset for offset in offsets]
        sides = {name: partial(scan, POOLS[name], first, opened) for name in names}
        return compare(
            f"scan {PORTS} ports, {WORKERS} workers",
            {PROCESSES: 1 / 2, POOL: 1 / 2},
            5,
            notes=left_out,
            sides=sides,
        )


if __name__ == "__main__":
    main(__doc__, port_scanner)
