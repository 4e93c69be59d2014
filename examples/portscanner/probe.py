# SPDX-License-Identifier: MIT
"""Try one port, blocking: what a thread or a process of the scanners does."""

from __future__ import annotations

import socket


def is_open(host: str, port: int, timeout: float) -> bool:
    """Tell whether a connection to a port of a numeric address succeeds in time."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect((host, port))
        except (ConnectionError, TimeoutError):
            return False
        # A socket which the kernel gave this very port has connected to itself: nobody listens.
        return bool(connection.getsockname()[:2] != (host, port))
