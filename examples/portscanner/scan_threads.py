# SPDX-License-Identifier: MIT
"""Scan the ports of a host with a thread a port."""

from __future__ import annotations

import threading
from queue import SimpleQueue

import arguments
from probe import is_open

Results = SimpleQueue[int | None | Exception]


def run(host: str, port: int, timeout: float, results: Results, slots: threading.Semaphore) -> None:
    """Try one port: put it, None, or what went wrong, into the results."""
    try:
        with slots:
            results.put(port if is_open(host, port, timeout) else None)
    except (OSError, RuntimeError) as error:
        results.put(error)


def scan(host: str, ports: range, timeout: float, workers: int) -> list[int]:
    """Return the open ports, in order."""
    results: Results = SimpleQueue()
    slots = threading.Semaphore(workers)
    threads = [
        threading.Thread(target=run, args=(host, port, timeout, results, slots)) for port in ports
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    opened: list[int] = []
    for _ in threads:
        result = results.get_nowait()  # each thread has put one
        if isinstance(result, Exception):
            raise result
        if result is not None:
            opened.append(result)
    return sorted(opened)


if __name__ == "__main__":
    arguments.report(arguments.parse(arguments.parser(__doc__)), scan)
