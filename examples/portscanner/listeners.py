# SPDX-License-Identifier: MIT
"""Listening sockets on loopback, for the demo and the tests of the scanners."""

from __future__ import annotations

import errno
import selectors
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

HOST = "127.0.0.1"
# Below the ports which Linux gives to outgoing connections: those might disturb.
FIRST_PORT, LAST_PORT = 20000, 32000


def listen(count: int, opened: Sequence[int]) -> tuple[int, list[socket.socket]]:
    """Find `count` consecutive free ports; listen to those at the offsets `opened` only."""
    for first in range(FIRST_PORT, LAST_PORT - count + 1):
        with ExitStack() as stack:
            bound = []
            try:
                for port in range(first, first + count):
                    bound.append(stack.enter_context(socket.socket()))
                    bound[-1].bind((HOST, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            # All are free: leave the others, by keeping copies of the sockets which listen.
            listeners = [bound[offset].dup() for offset in opened]
        for listener in listeners:
            listener.listen(128)
            listener.setblocking(False)
        return first, listeners
    raise OSError(f"there are no {count} consecutive free ports in {FIRST_PORT}-{LAST_PORT}")


@contextmanager
def accepting(listeners: Sequence[socket.socket]) -> Iterator[None]:
    """Accept and close all connections, in a thread."""
    stop, stopped = socket.socketpair()

    def serve() -> None:
        with selectors.DefaultSelector() as selector:
            for each in (*listeners, stopped):
                selector.register(each, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is stopped:
                        return
                    with suppress(BlockingIOError, ConnectionError):
                        key.fileobj.accept()[0].close()  # type: ignore[union-attr]

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop.close()
        thread.join()
        for each in (*listeners, stopped):
            each.close()
