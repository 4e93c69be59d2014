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


def bind(stack: ExitStack, ports: range) -> list[socket.socket]:
    """Bind a socket to each of the ports, for as long as the stack lasts."""
    bound = []
    for port in ports:
        bound.append(stack.enter_context(socket.socket()))
        bound[-1].bind((HOST, port))
    return bound


def reserve(stack: ExitStack, count: int) -> list[socket.socket]:
    """Bind sockets to the first `count` consecutive ports that are free."""
    for first in range(FIRST_PORT, LAST_PORT - count + 1):
        with ExitStack() as attempt:
            try:
                bound = bind(attempt, range(first, first + count))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            stack.push(attempt.pop_all())
            return bound
    raise OSError(f"there are no {count} consecutive free ports in {FIRST_PORT}-{LAST_PORT}")


def accept(listeners: Sequence[socket.socket], stopped: socket.socket) -> None:
    """Accept connections and close them until `stopped` can be read."""
    with selectors.DefaultSelector() as selector:
        for each in (*listeners, stopped):
            selector.register(each, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is stopped:
                    return
                with suppress(BlockingIOError, ConnectionError):
                    key.fileobj.accept()[0].close()  # type: ignore[union-attr]


@contextmanager
def listening(count: int, opened: Sequence[int]) -> Iterator[int]:
    """Take `count` consecutive ports, and listen to those at the offsets `opened` only.

    Gives the first of the ports. The others refuse connections, and stay bound, so that no other
    program can listen to one of them meanwhile. A thread accepts and closes all connections.
    """
    with ExitStack() as stack:
        bound = reserve(stack, count)
        listeners = [bound[offset] for offset in opened]
        for listener in listeners:
            listener.listen(128)
            listener.setblocking(False)
        stop, stopped = socket.socketpair()
        stack.enter_context(stopped)
        thread = threading.Thread(target=accept, args=(listeners, stopped))
        thread.start()
        stack.callback(thread.join)
        stack.enter_context(stop)
        yield bound[0].getsockname()[1]
