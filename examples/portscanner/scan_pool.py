# SPDX-License-Identifier: MIT
"""Scan the ports of a host with a pool of workers (--pool), each of which tries many ports."""

from __future__ import annotations

from functools import partial
from typing import Any

from probe import is_open

KINDS = ("interpreters", "stdlib", "processes", "threads", "multiprocessing")
WORKERS = (
    8  # without --workers: a port that answers takes no time, one that does not keeps its worker
)


def executor(kind: str, workers: int) -> Any:
    """Return an executor of concurrent.futures, or one with the same interface."""
    if kind == "interpreters":
        from subinterpreters import InterpreterPoolExecutor as Executor
    elif kind == "stdlib":
        from concurrent.futures import InterpreterPoolExecutor as Executor
    elif kind == "processes":
        from concurrent.futures import ProcessPoolExecutor as Executor
    else:
        from concurrent.futures import ThreadPoolExecutor as Executor
    return Executor(workers)


def scan(host: str, ports: range, timeout: float, workers: int, kind: str) -> list[int]:
    """Return the open ports, in order."""
    hosts, timeouts = [host] * len(ports), [timeout] * len(ports)
    if kind == "multiprocessing":
        import multiprocessing

        with multiprocessing.Pool(workers) as pool:
            answers = pool.starmap(is_open, zip(hosts, ports, timeouts, strict=True))
    else:
        # Those of the standard library send each port by itself, unless they are told otherwise.
        chunks = {"chunksize": max(1, len(ports) // (4 * workers))} if kind == "processes" else {}
        with executor(kind, workers) as pool:
            answers = list(pool.map(is_open, hosts, ports, timeouts, **chunks))
    return [port for port, answer in zip(ports, answers, strict=True) if answer]


if __name__ == "__main__":
    # Each process imports this file again: spare it what only the parent needs.
    import arguments

    parser = arguments.parser(__doc__)
    parser.add_argument("--pool", choices=KINDS, default="interpreters")
    parser.set_defaults(workers=WORKERS)
    options = arguments.parse(parser)
    arguments.report(options, partial(scan, kind=options.pool))
