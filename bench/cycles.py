# SPDX-License-Identifier: MIT
"""What private interpreters leave behind: memory, descriptors and mappings over many cycles.

Each cycle makes an interpreter, imports a package there, and closes it.
"""

import argparse
import os
import sys
from pathlib import Path

import subinterpreters

WARM_UP = 10  # cycles that do not count: caches fill


def look() -> tuple[float, int, int]:
    """Return the KB of memory (RSS), the descriptors and the mappings of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    mappings = Path("/proc/self/maps").read_text().count("\n")
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024, len(os.listdir("/proc/self/fd")), mappings


def cycle(code: str) -> None:
    """Make an interpreter, run the code there, close it."""
    with subinterpreters.create(isolation="private") as interpreter:
        interpreter.exec(code)


def main() -> None:
    """Parse the command line, run, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--code", default="import numpy", help="default: %(default)s")
    arguments = parser.parse_args()
    if arguments.cycles < 1:
        parser.error("--cycles is at least 1")
    for _ in range(WARM_UP):
        cycle(arguments.code)
    print(f"CPython {sys.version.split()[0]}; {arguments.code!r} in each\n")
    print("| cycle | memory (MB) | KB a cycle | descriptors | mappings |")
    print("|--:|--:|--:|--:|--:|")
    start, *others = look()
    print(f"| 0 | {start / 1024:.1f} | | {others[0]} | {others[1]} |", flush=True)
    every = max(1, arguments.cycles // 5)
    for number in range(1, arguments.cycles + 1):
        cycle(arguments.code)
        if number % every == 0:
            memory, *others = look()
            growth = (memory - start) / number
            print(
                f"| {number} | {memory / 1024:.1f} | {growth:.0f} | {others[0]} | {others[1]} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
