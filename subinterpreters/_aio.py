# SPDX-License-Identifier: MIT
"""Channels and calls in asyncio: coroutines that wait in an event loop, without blocking it.

An operation that cannot go ahead waits in the channel. In its turn it is told, by a descriptor that the
loop watches, and tries again; until then what it needs is reserved for it. So one that is cancelled has
done nothing, and what was reserved goes to the next. A call has the thread that stays with its interpreter.
The C code imports this when it needs it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakKeyDictionary

from subinterpreters._calls import GRACE, submit_unless
from subinterpreters._subinterpreters import (
    ChannelClosedError,
    Interpreter,
    RecvChannel,
    _notifier,
)

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


# ---- calls ---------------------------------------------------------------------------------------


class _Call:
    """Whether a call has begun; once it is given up, it does not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given_up = False
        self._run: int | None = None

    def begin(self, run: int) -> None:
        """By the thread that is about to make the call: in the run of that number."""
        with self._lock:
            if self._given_up:
                raise CancelledError
            self._run = run

    def give_up(self) -> int | None:
        """Return the number of the run that has begun."""
        with self._lock:
            self._given_up = True
            return self._run


def _when_done(future: Future[Any]) -> asyncio.Future[None]:
    """Return what is done in the loop when the future is."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def wake() -> None:
        if not done.done():
            done.set_result(None)

    def tell(_: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(wake)

    future.add_done_callback(tell)
    return done


async def _stop(interp: Interpreter, run: int, done: asyncio.Future[None]) -> None:
    """Interrupt the run, and wait for its end; code may need to be told more than once."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + GRACE
    pause = 0.005
    while not done.done() and loop.time() < deadline:
        interp._interrupt_run(run)
        await asyncio.wait([done], timeout=pause)
        pause *= 2


async def call_async(
    interp: Interpreter, callable: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    """See Interpreter.call_async."""
    call = _Call()
    _notifier_of(asyncio.get_running_loop())  # so that the loop can be interrupted
    future = submit_unless(interp, call.begin, callable, *args, **kwargs)
    done = _when_done(future)
    try:
        await asyncio.wait([done])  # which leaves it alone when it is cancelled
    except asyncio.CancelledError:
        run = call.give_up()
        if not future.cancel() and run is not None:
            await _stop(interp, run, done)
        raise
    return future.result()
