# SPDX-License-Identifier: MIT
"""Scan the ports of a host with an asyncio task a port, in one thread."""

from __future__ import annotations

import asyncio
import socket

import arguments


async def is_open(host: str, port: int, timeout: float, slots: asyncio.Semaphore) -> bool:
    """Tell whether a connection to a port of a numeric address succeeds in time."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    loop = asyncio.get_running_loop()
    async with slots:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.setblocking(False)
            try:
                await asyncio.wait_for(loop.sock_connect(connection, (host, port)), timeout)
            except (ConnectionError, TimeoutError):
                return False
            # See probe.py: a socket which has connected to itself is no open port.
            return bool(connection.getsockname()[:2] != (host, port))


async def scan_all(host: str, ports: range, timeout: float, workers: int) -> list[int]:
    """Return the open ports, in order."""
    slots = asyncio.Semaphore(workers)
    answers = await asyncio.gather(*(is_open(host, port, timeout, slots) for port in ports))
    return [port for port, answer in zip(ports, answers, strict=True) if answer]


def scan(host: str, ports: range, timeout: float, workers: int) -> list[int]:
    """Return the open ports, in order."""
    return asyncio.run(scan_all(host, ports, timeout, workers))


if __name__ == "__main__":
    arguments.report(arguments.parse(arguments.parser(__doc__)), scan)
