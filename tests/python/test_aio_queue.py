# SPDX-License-Identifier: MIT
"""Queues in asyncio."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest
from support import LOOP_KINDS, WAIT, start

from subinterpreters import (
    UNBOUND,
    UNBOUND_ERROR,
    UNBOUND_REMOVE,
    ItemInterpreterDestroyed,
    NotShareableError,
    Queue,
    QueueEmpty,
    create,
    create_queue,
)

ECHO = """
import asyncio

async def echo():
    while (each := await ask.get_async()) is not None:
        await answer.put_async(each)

asyncio.run(echo())
"""


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, WAIT))


async def waiting(awaitable: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """A task that has done what it can do at once."""
    task = asyncio.ensure_future(awaitable)
    await asyncio.sleep(0)
    return task


def test_at_once() -> None:
    async def main() -> None:
        queue = create_queue(1)
        for obj in (None, 1, [2, "three"], b"x" * 1000):
            assert await queue.put_async(obj) is None
            assert await queue.get_async() == obj

    run(main())


def test_turns() -> None:
    async def main() -> None:
        queue = create_queue(2)
        getting = [await waiting(queue.get_async()) for _ in range(50)]
        putting = [await waiting(queue.put_async(number)) for number in range(100)]
        assert await asyncio.gather(*getting) == list(range(50))
        assert [await queue.get_async() for _ in range(50)] == list(range(50, 100))
        await asyncio.gather(*putting)

    run(main())


def test_a_cancelled_operation_has_done_nothing() -> None:
    async def main() -> None:
        queue = create_queue(1)
        getting = await waiting(queue.get_async())
        queue.put(1)  # it is reserved for the one that is cancelled
        getting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await getting
        putting = await waiting(queue.put_async(2))
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting
        assert queue.get_nowait() == 1
        with pytest.raises(QueueEmpty):
            queue.get_nowait()

    run(main())


def test_bad_input() -> None:
    queue = create_queue()
    with pytest.raises(NotShareableError):
        queue.put_async(threading.Lock())
    with pytest.raises(ValueError, match="unbounditems must be"):
        queue.put_async(1, unbounditems=5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        queue.put_async()  # type: ignore[call-arg]
    assert queue.empty()


@pytest.mark.parametrize("kind", LOOP_KINDS)
def test_with_an_interpreter(kind: Any) -> None:
    with create(isolation=kind) as interp:
        ask, answer = create_queue(1), create_queue(1)
        interp.prepare_main(ask=ask, answer=answer)
        running = start(interp.exec, ECHO)

        async def put_all() -> None:
            for number in range(300):
                await ask.put_async([number])

        async def main() -> None:
            putting = asyncio.ensure_future(put_all())
            assert [await answer.get_async() for _ in range(300)] == [[n] for n in range(300)]
            await putting
            await ask.put_async(None)

        run(main())
        running.result(WAIT)


def put_in_one_that_is_closed(kind: Any, queue: Queue) -> None:
    """Put one item of each fate, from an interpreter that is closed then."""
    with create(isolation=kind) as interp:
        interp.prepare_main(queue=queue)
        interp.exec("""
import asyncio
from subinterpreters import UNBOUND, UNBOUND_ERROR, UNBOUND_REMOVE

async def main():
    await queue.put_async("kept")
    for what in (UNBOUND_REMOVE, UNBOUND, UNBOUND_REMOVE, UNBOUND_ERROR, UNBOUND_REMOVE):
        await queue.put_async("item", unbounditems=what)

asyncio.run(main())
""")
        assert queue.qsize() == 6


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("kind", LOOP_KINDS)
def test_items_of_a_closed_interpreter(kind: Any, waits: bool) -> None:
    async def main() -> None:
        queue = create_queue()
        if not waits:
            put_in_one_that_is_closed(kind, queue)
        getting = [await waiting(queue.get_async()) for _ in range(4)]
        if waits:  # the items are there, and their interpreter gone, before the loop gets its turn
            put_in_one_that_is_closed(kind, queue)
        assert await getting[0] == "kept"
        assert await getting[1] is UNBOUND
        with pytest.raises(ItemInterpreterDestroyed):
            await getting[2]
        assert not getting[3].done()
        queue.put("last")
        assert await getting[3] == "last"

    run(main())


@pytest.mark.parametrize(
    ("default", "got"), [(UNBOUND, UNBOUND), (UNBOUND_REMOVE, "own"), (None, "theirs")]
)
@pytest.mark.parametrize("kind", LOOP_KINDS)
def test_the_default_of_the_queue(kind: Any, default: Any, got: Any) -> None:
    queue = create_queue(unbounditems=default)
    with create(isolation=kind) as interp:
        interp.prepare_main(queue=queue)
        interp.exec("import asyncio; asyncio.run(queue.put_async('theirs'))")

    async def main() -> None:
        await queue.put_async("own", unbounditems=UNBOUND_ERROR)
        assert await queue.get_async() == got

    run(main())
