# SPDX-License-Identifier: MIT
"""Channels in asyncio: waits that do not block the loop, and that can be cancelled without a loss."""

import asyncio
import gc
import os
import random
import threading
from collections.abc import Coroutine
from typing import Any

import pytest
from support import LOOP_KINDS, WAIT, run_script, start

from subinterpreters import (
    ChannelClosedError,
    ChannelEmptyError,
    ChannelFullError,
    NotShareableError,
    RecvChannel,
    SendChannel,
    create,
    create_channel,
    select_async,
)

# What an interpreter runs to send back what it gets.
ECHO = """
import asyncio

async def echo():
    async for each in ask:
        await answer.send_async(each)
    answer.close()

asyncio.run(echo())
"""

BLOCKING_ECHO = """
for each in ask:
    answer.send(each)
answer.close()
"""


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, WAIT))


async def waiting(awaitable: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """A task that has done what it can do at once."""
    task = asyncio.ensure_future(awaitable)
    await asyncio.sleep(0)
    return task


# ---- one loop ------------------------------------------------------------------------------


@pytest.mark.parametrize("capacity", [None, 1, 3])
def test_at_once(capacity: int | None) -> None:
    async def main() -> None:
        recv, send = create_channel(capacity)
        for obj in (None, 1, [2, "three"], b"x" * 1000):
            await send.send_async(obj)
            assert await recv.recv_async() == obj

    run(main())


@pytest.mark.parametrize("capacity", [None, 1, 0])
def test_receivers_are_served_in_their_order(capacity: int | None) -> None:
    async def main() -> None:
        recv, send = create_channel(capacity)
        receiving = [await waiting(recv.recv_async()) for _ in range(100)]
        for number in range(100):
            send.send_nowait(number)
        assert await asyncio.gather(*receiving) == list(range(100))

    run(main())


@pytest.mark.parametrize("capacity", [1, 3, 0])
def test_senders_are_served_in_their_order(capacity: int) -> None:
    async def main() -> None:
        recv, send = create_channel(capacity)
        sending = [await waiting(send.send_async(number)) for number in range(100)]
        assert [await recv.recv_async() for _ in range(100)] == list(range(100))
        await asyncio.gather(*sending)

    run(main())


def test_the_message_is_that_of_the_call() -> None:
    async def main() -> None:
        recv, send = create_channel(1)
        send.send(0)
        obj = [1]
        sending = await waiting(send.send_async(obj))
        obj.append(2)
        assert recv.recv() == 0
        await sending
        assert recv.recv() == [1]

    run(main())


def test_bad_input() -> None:
    recv, send = create_channel()
    with pytest.raises(NotShareableError):
        send.send_async(threading.Lock())
    with pytest.raises(TypeError):
        send.send_async()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="^case 1 must be a RecvChannel or a pair"):
        select_async(recv, send)  # type: ignore[arg-type]
    assert len(recv) == 0


def test_a_full_channel_does_not_starve_the_loop() -> None:
    async def main() -> None:
        recv, send = create_channel()
        for number in range(1000):
            send.send(number)
        send.close()
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(count())
        assert [each async for each in recv] == list(range(1000))
        assert turns >= 10
        counting.cancel()

    run(main())


def test_select() -> None:
    async def main() -> None:
        recv, send = create_channel()
        other, other_send = create_channel(1)
        assert await select_async(recv, (other_send, "x")) == (1, None)
        choosing = await waiting(select_async(recv, (other_send, "y")))
        send.send(5)
        assert await choosing == (0, 5)
        choosing = await waiting(select_async(recv, (other_send, "y")))
        assert other.recv() == "x"
        assert await choosing == (1, None)
        assert other.recv() == "y"
        choosing = await waiting(select_async(recv, other))
        other_send.close()
        with pytest.raises(ChannelClosedError) as caught:
            await choosing
        assert caught.value.index == 1

    run(main())


def test_closing_while_waiting() -> None:
    async def main() -> None:
        recv, send = create_channel(1)
        receiving = [await waiting(recv.recv_async()) for _ in range(3)]
        send.send(1)
        send.close()
        assert await receiving[0] == 1
        for each in receiving[1:]:
            with pytest.raises(ChannelClosedError):
                await each
        with pytest.raises(ChannelClosedError):
            await recv.recv_async()
        with pytest.raises(ChannelClosedError):
            await send.send_async(1)

        recv, send = create_channel(1)
        send.send(1)
        sending = await waiting(send.send_async(2))
        recv.close()
        with pytest.raises(ChannelClosedError):
            await sending

    run(main())


# ---- cancelling ----------------------------------------------------------------------------


def test_time_outs() -> None:
    async def main() -> None:
        recv, send = create_channel(1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(recv.recv_async(), 0.001)
        send.send(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await send.send_async(2)
        assert await asyncio.wait_for(recv.recv_async(), WAIT) == 1
        with pytest.raises(ChannelEmptyError):
            recv.recv_nowait()

    run(main())


@pytest.mark.parametrize("capacity", [None, 1, 0])
def test_a_cancelled_receive_has_taken_nothing(capacity: int | None) -> None:
    async def main() -> None:
        recv, send = create_channel(capacity)
        first, second = await waiting(recv.recv_async()), await waiting(recv.recv_async())
        send.send(1)  # it is reserved for the first
        first.cancel()
        assert await second == 1
        third = await waiting(recv.recv_async())
        send.send(2)
        third.cancel()
        with pytest.raises(asyncio.CancelledError):
            await third
        assert recv.recv_nowait() == 2

    run(main())


def test_a_cancelled_send_has_sent_nothing() -> None:
    async def main() -> None:
        recv, send = create_channel(1)
        send.send(0)
        first, second = await waiting(send.send_async(1)), await waiting(send.send_async(2))
        assert recv.recv() == 0  # the room is reserved for the first
        with pytest.raises(ChannelFullError):
            send.send_nowait(9)
        first.cancel()
        await second
        assert recv.recv() == 2
        with pytest.raises(ChannelEmptyError):
            recv.recv_nowait()

    run(main())


async def storm_receive(recv: RecvChannel, got: list[int], chance: random.Random) -> None:
    """Receives until None comes; most of the waits are cancelled, at any moment."""
    while True:
        task = asyncio.ensure_future(recv.recv_async())
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        if chance.random() < 0.7:
            task.cancel()
        try:
            value = await task
        except asyncio.CancelledError:
            continue
        if value is None:
            return
        got.append(value)


async def storm_send(send: SendChannel, values: list[int], chance: random.Random) -> None:
    """Sends all values; what was cancelled is sent again."""
    for value in values:
        while True:
            task = asyncio.ensure_future(send.send_async(value))
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            if chance.random() < 0.7:
                task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                continue
            break


@pytest.mark.parametrize("capacity", [None, 0, 1, 3])
def test_a_storm_of_cancellations(capacity: int | None) -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    recv, send = create_channel(capacity)
    got: list[int] = []
    blocking: list[int] = []

    def receive() -> None:
        while (value := recv.recv(timeout=WAIT)) is not None:
            blocking.append(value)

    async def senders() -> None:
        own = random.Random(chance.random())
        await asyncio.gather(
            *(storm_send(send, list(range(n * 200, n * 200 + 200)), own) for n in range(5))
        )

    async def receivers() -> None:
        await asyncio.gather(*(storm_receive(recv, got, chance) for _ in range(5)))

    threads = [start(run, senders()), start(run, receivers()), start(receive)]
    sending = start(lambda: [send.send(value, timeout=WAIT) for value in range(1000, 1500)])
    threads[0].result(WAIT)
    sending.result(WAIT)
    for _ in range(6):
        send.send(None, timeout=WAIT)
    for each in threads:
        each.result(WAIT)
    assert sorted(got + blocking) == list(range(1500))


# ---- several interpreters ------------------------------------------------------------------


@pytest.mark.parametrize("code", [ECHO, BLOCKING_ECHO], ids=["loop", "thread"])
@pytest.mark.parametrize("capacity", [None, 0, 1])
@pytest.mark.parametrize("kind", LOOP_KINDS)
def test_with_an_interpreter(kind: str, capacity: int | None, code: str) -> None:
    with create(isolation=kind) as interp:  # type: ignore[arg-type]
        ask, asking = create_channel(capacity)
        answering, answer = create_channel(capacity)
        interp.prepare_main(ask=ask, answer=answer)
        running = start(interp.exec, code)

        async def send_all() -> None:
            for number in range(500):
                await asking.send_async([number])
            asking.close()

        async def main() -> None:
            sending = asyncio.ensure_future(send_all())
            assert [each async for each in answering] == [[number] for number in range(500)]
            await sending

        run(main())
        running.result(WAIT)


@pytest.mark.parametrize("kind", LOOP_KINDS)
def test_a_loop_only_in_the_interpreter(kind: str) -> None:
    with create(isolation=kind) as interp:  # type: ignore[arg-type]
        ask, asking = create_channel(0)
        answering, answer = create_channel(0)
        interp.prepare_main(ask=ask, answer=answer)
        running = start(interp.exec, ECHO)
        for number in range(200):
            asking.send(number, timeout=WAIT)
            assert answering.recv(timeout=WAIT) == number
        asking.close()
        running.result(WAIT)


def test_a_thousand_waits() -> None:
    async def main() -> None:
        pairs = [create_channel() for _ in range(1000)]
        shared, shared_send = create_channel()
        before = len(os.listdir("/proc/self/fd")), threading.active_count()
        tasks = [await waiting(recv.recv_async()) for recv, _ in pairs]
        both = [await waiting(select_async(shared, recv)) for recv, _ in pairs]
        assert len(os.listdir("/proc/self/fd")) <= before[0] + 1
        assert threading.active_count() == before[1]

        def send_all() -> None:
            for number, (_, send) in enumerate(pairs):
                send.send(number)
            for number in range(1000):
                shared_send.send(number)

        sending = start(send_all)
        assert await asyncio.gather(*tasks) == list(range(1000))
        assert await asyncio.gather(*both) == [(0, number) for number in range(1000)]
        sending.result(WAIT)

    run(main())


PENDING = """
import asyncio

async def main():
    global tasks
    tasks = [asyncio.ensure_future(each) for each in
             (recv.recv_async(), send.send_async("never"), recv.recv_async())]
    await asyncio.sleep(0)
    told.send(None)
    taken.recv()

loop = asyncio.new_event_loop()
loop.set_exception_handler(lambda *_: None)
loop.run_until_complete(main())
"""


@pytest.mark.parametrize("kind", LOOP_KINDS)
def test_an_interpreter_that_is_closed_while_it_waits(kind: str) -> None:
    recv, send = create_channel()
    full, fill = create_channel(1)
    fill.send("first")

    def life() -> None:
        told, tell = create_channel()
        wait, go = create_channel()
        interp = create(isolation=kind)  # type: ignore[arg-type]
        interp.prepare_main(recv=recv, send=fill, told=tell, taken=wait)
        running = start(interp.exec, PENDING)
        told.recv(timeout=WAIT)
        send.send(1)  # reserved for one that will not take it
        go.send(None)
        running.result(WAIT)
        interp.close()
        assert recv.recv(timeout=WAIT) == 1

    life()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        life()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before
    assert full.recv() == "first"
    with pytest.raises(ChannelEmptyError):
        full.recv_nowait()
    fill.send_nowait("second")


# ---- loops and processes -------------------------------------------------------------------


def test_descriptors() -> None:
    async def main() -> None:
        recv, _ = create_channel()
        (await waiting(recv.recv_async())).cancel()

    asyncio.run(main())
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        asyncio.run(main())
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_loop_that_is_closed_with_waits() -> None:
    recv, send = create_channel()

    async def main() -> asyncio.Task[Any]:
        return await waiting(recv.recv_async())

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(main())
    loop.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    send.send(1)
    del task, loop
    gc.collect()
    assert recv.recv_nowait() == 1


def test_asyncio_is_imported_when_it_is_used() -> None:
    run_script("""
        import sys, subinterpreters
        subinterpreters.create_channel()
        assert "asyncio" not in sys.modules and "subinterpreters._aio" not in sys.modules
    """)


INTERRUPTED = """
import asyncio, os, signal, threading
from subinterpreters import create_channel

recv, send = create_channel()

async def main():
    task = asyncio.ensure_future(recv.recv_async())
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGINT)
    await task

try:
    asyncio.run(main())
except KeyboardInterrupt:
    send.send(1)
    print(recv.recv_nowait())
"""


def test_ctrl_c() -> None:
    assert run_script(INTERRUPTED).stdout == "1\n"


EXIT = """
import asyncio, sys, threading
import subinterpreters as si

recv, send = si.create_channel()
told, tell = si.create_channel()
code = '''
import asyncio
async def main():
    task = asyncio.ensure_future(recv.recv_async())
    await asyncio.sleep(0)
    tell.send(None)
    await task
asyncio.run(main())
'''
interp = si.create(isolation=sys.argv[1])
interp.prepare_main(recv=recv, tell=tell)
threading.Thread(target=interp.exec, args=[code], daemon=True).start()
told.recv()
"""


@pytest.mark.parametrize("kind", LOOP_KINDS)
def test_the_process_ends_while_a_loop_waits(kind: str) -> None:
    run_script(EXIT, kind, traceback=True)


FORK = """
import asyncio, os
import subinterpreters as si

async def main():
    recv, send = si.create_channel()
    task = asyncio.ensure_future(recv.recv_async())
    await asyncio.sleep(0)
    pid = os.fork()
    if pid == 0:
        async def child():
            recv, send = si.create_channel(0)
            assert await asyncio.gather(recv.recv_async(), send.send_async(5)) == [5, None]
        import threading
        good = []
        def run():
            asyncio.run(child())
            good.append(True)
        t = threading.Thread(target=run)
        t.start()
        t.join()
        del task
        os._exit(0 if good else 1)
    assert os.waitpid(pid, 0)[1] == 0
    send.send(7)
    assert await task == 7

asyncio.run(main())
"""


def test_forks() -> None:
    run_script(FORK, traceback=False)


class OtherLoop(asyncio.SelectorEventLoop):
    """Has of the loop's parts only the public ones that are needed, as other loops do."""

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> None:
        assert isinstance(fd, int)
        super().add_reader(fd, callback, *args)


def test_other_loops() -> None:
    async def main() -> None:
        recv, send = create_channel(0)
        assert await asyncio.gather(recv.recv_async(), send.send_async(5)) == [5, None]

    with asyncio.Runner(loop_factory=OtherLoop) as runner:
        runner.run(main())
