# SPDX-License-Identifier: MIT
"""Channels in asyncio: coroutines that wait in an event loop, without a thread.

An operation that cannot go ahead waits in the channel. In its turn it is told, by a descriptor that the
loop watches, and tries again; until then what it needs is reserved for it. So one that is cancelled has
done nothing, and what was reserved goes to the next. The C code imports this when it needs it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakKeyDictionary

from subinterpreters._subinterpreters import ChannelClosedError, RecvChannel, _notifier

if TYPE_CHECKING:
    from subinterpreters._subinterpreters import Notifier, Operation

# One for each loop of this interpreter.
_notifiers: WeakKeyDictionary[asyncio.AbstractEventLoop, Notifier] = WeakKeyDictionary()

# So many items in a row an iteration takes without a turn of the loop.
BURST = 64


def _wake(notifier: Notifier) -> None:
    for future in notifier.told():
        if not future.done():
            future.set_result(None)


def _notifier_of(loop: asyncio.AbstractEventLoop) -> Notifier:
    notifier = _notifiers.get(loop)
    if notifier is None:
        for other in list(_notifiers):
            if other.is_closed():
                _notifiers.pop(other, None)
        notifier = _notifier()
        loop.add_reader(notifier.fileno(), _wake, notifier)
        _notifiers[loop] = notifier
    return notifier


async def complete(operation: Operation) -> tuple[int, Any]:
    """Perform the operation; wait until that is possible."""
    done = operation.attempt()
    if done is None:
        loop = asyncio.get_running_loop()
        notifier = _notifier_of(loop)
        try:
            while (done := operation.attempt(notifier, future := loop.create_future())) is None:
                await future
        finally:
            operation.give_up()
    return done


async def complete_one(operation: Operation) -> Any:
    """Perform a send or a receive; return what was received."""
    return (await complete(operation))[1]


class Iterator:
    """Receives until the channel is closed and drained. The loop gets its turn now and then."""

    def __init__(self, recv: RecvChannel) -> None:
        self._recv = recv
        self._count = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        self._count += 1
        if self._count % BURST == 0:
            await asyncio.sleep(0)
        try:
            return await self._recv.recv_async()
        except ChannelClosedError:
            raise StopAsyncIteration from None
