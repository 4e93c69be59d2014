# SPDX-License-Identifier: MIT
"""Scan the ports of a host with a subinterpreter a port, each in its own thread."""

from __future__ import annotations

import _xxsubinterpreters as subinterpreters
import threading
from queue import SimpleQueue

import arguments

# What each interpreter runs. The timeout travels as a string: channels and `shared` of
# CPython 3.11 take None, int, bytes, str and channel ids only.
CODE = """
import socket
import _xxsubinterpreters as subinterpreters

family = socket.AF_INET6 if ":" in host else socket.AF_INET
with socket.socket(family, socket.SOCK_STREAM) as connection:
    connection.settimeout(float(timeout))
    try:
        connection.connect((host, port))
        # See probe.py: a socket which has connected to itself is no open port.
        found = port if connection.getsockname()[:2] != (host, port) else None
    except (ConnectionError, TimeoutError):
        found = None
subinterpreters.channel_send(channel_id, found)
"""

Results = SimpleQueue[int | None | Exception]


def run(host: str, port: int, timeout: float, results: Results, slots: threading.Semaphore) -> None:
    """Try one port in a new interpreter: put it, None, or what went wrong, into the results."""
    try:
        with slots:
            channel_id = subinterpreters.channel_create()
            interpreter = subinterpreters.create()
            try:
                subinterpreters.run_string(
                    interpreter,
                    CODE,
                    shared={
                        "channel_id": channel_id,
                        "host": host,
                        "port": port,
                        "timeout": str(timeout),
                    },
                )
                found = subinterpreters.channel_recv(channel_id)
                subinterpreters.channel_release(channel_id)
            finally:
                subinterpreters.destroy(interpreter)
        results.put(found)
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
