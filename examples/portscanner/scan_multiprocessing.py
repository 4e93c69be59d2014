# SPDX-License-Identifier: MIT
"""Scan the ports of a host with a process a port (--start-method spawn or forkserver)."""

from __future__ import annotations

import multiprocessing
from functools import partial
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from probe import is_open

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess


def run(host: str, port: int, timeout: float, results: multiprocessing.Queue[int | None]) -> None:
    """Try one port: put it, or None if it is closed, into the results."""
    results.put(port if is_open(host, port, timeout) else None)


def scan(
    host: str, ports: range, timeout: float, workers: int, start_method: str = "spawn"
) -> list[int]:
    """Return the open ports, in order."""
    context = multiprocessing.get_context(start_method)
    results: multiprocessing.Queue[int | None] = context.Queue()
    alive: dict[Any, BaseProcess] = {}
    answers: list[int | None] = []

    def collect() -> None:
        for sentinel in wait(alive):
            process = alive.pop(sentinel)
            process.join()
            if process.exitcode != 0:
                raise RuntimeError(f"{process.name} ended with {process.exitcode}")
            answers.append(results.get())  # a process which ended well has put one

    for port in ports:
        process = context.Process(  # type: ignore[attr-defined]
            target=run, args=(host, port, timeout, results), name=f"the process of port {port}"
        )
        process.start()
        alive[process.sentinel] = process
        if len(alive) == workers:
            collect()
    while alive:
        collect()
    return sorted(port for port in answers if port is not None)


if __name__ == "__main__":
    # Each child imports this file again: spare it what only the parent needs.
    import arguments

    parser = arguments.parser(__doc__)
    parser.add_argument("--start-method", choices=("spawn", "forkserver"), default="spawn")
    options = arguments.parse(parser)
    arguments.report(options, partial(scan, start_method=options.start_method))
