# SPDX-License-Identifier: MIT
"""Calls in other interpreters that an event loop awaits."""

import asyncio
import builtins
import gc
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
from support import WAIT, YIELDING_KINDS, run_script, start

from subinterpreters import (
    ExecutionFailed,
    Interpreter,
    NotShareableError,
    RecvChannel,
    SendChannel,
    create,
    create_channel,
)


@pytest.fixture(params=YIELDING_KINDS)
def interp(request: pytest.FixtureRequest) -> Iterator[Interpreter]:
    with create(isolation=request.param) as interp:
        yield interp


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, WAIT))


def endless(tell: SendChannel) -> None:
    """To be interrupted."""
    tell.send("runs")
    try:
        while True:
            pass
    except KeyboardInterrupt:
        tell.send("interrupted")
        raise


async def begin(interp: Interpreter, recv: RecvChannel, *call: Any) -> asyncio.Task[Any]:
    """A task with a call that has begun."""
    task = asyncio.ensure_future(interp.call_async(*call))
    assert await recv.recv_async() == "runs"
    return task


def test_results(interp: Interpreter) -> None:
    async def main() -> None:
        assert await interp.call_async(divmod, 7, 3) == (2, 1)
        assert await interp.call_async(int, "ff", base=16) == 255
        calls = [interp.call_async(pow, 2, number) for number in range(20)]
        assert await asyncio.gather(*calls) == [2**number for number in range(20)]
        assert await interp.call_async(dict, callable=1, timeout=2, begin=3) == {
            "callable": 1,
            "timeout": 2,
            "begin": 3,
        }

    run(main())


def test_exceptions(interp: Interpreter) -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError) as caught:
            await interp.call_async(divmod, 1, 0)
        assert isinstance(caught.value, ExecutionFailed)
        with pytest.raises(NotShareableError):
            await interp.call_async(print, threading.Lock())
        with pytest.raises(TypeError):
            await interp.call_async()
        assert await interp.call_async(abs, -1) == 1

    run(main())


def test_the_loop_goes_on(interp: Interpreter) -> None:
    async def main() -> None:
        recv, send = create_channel()
        task = asyncio.ensure_future(interp.call_async(RecvChannel.recv, recv))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not task.done()
        send.send("now")
        assert await task == "now"

    run(main())


def test_cancelling_what_runs(interp: Interpreter) -> None:
    async def main() -> None:
        recv, send = create_channel()
        for _ in range(3):
            task = await begin(interp, recv, endless, send)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert recv.recv_nowait() == "interrupted"
            assert not interp.is_running()
            assert await interp.call_async(abs, -1) == 1

    run(main())


def wait_on(recv: RecvChannel, tell: SendChannel) -> Any:
    tell.send("runs")
    return recv.recv()


def test_cancelling_a_wait_on_a_channel(interp: Interpreter) -> None:
    async def main() -> None:
        recv, send = create_channel()
        never, keep = create_channel()
        task = await begin(interp, recv, wait_on, never, send)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        keep.send(1)
        assert never.recv_nowait() == 1
        assert await interp.call_async(abs, -1) == 1

    run(main())


def test_cancelling_what_is_pending(interp: Interpreter) -> None:
    async def main() -> None:
        recv, send = create_channel()
        go_recv, go = create_channel()
        first = await begin(interp, recv, wait_on, go_recv, send)
        second = asyncio.ensure_future(interp.call_async(SendChannel.send, send, "never"))
        third = asyncio.ensure_future(interp.call_async(abs, -3))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert not first.done()
        go.send("go")
        assert await first == "go"
        assert await third == 3
        assert len(recv) == 0

    run(main())


def test_cancelling_what_waits_for_another_run(interp: Interpreter) -> None:
    """It is that run's turn: it is not interrupted, and the call does not happen afterwards."""

    async def main() -> None:
        recv, send = create_channel()
        go_recv, go = create_channel()
        interp.prepare_main(recv=go_recv, send=send)
        running = start(interp.exec, "send.send('runs'); assert recv.recv() == 'go'")
        assert await recv.recv_async() == "runs"
        task = asyncio.ensure_future(interp.call_async(SendChannel.send, send, "never"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert interp.is_running()
        go.send("go")
        running.result(WAIT)
        assert await interp.call_async(abs, -1) == 1
        assert len(recv) == 0

    run(main())


def test_code_that_does_not_react(interp: Interpreter) -> None:
    def stubborn(recv: Any, tell: Any) -> str:
        tell.send("runs")
        while True:
            try:
                return recv.recv()  # type: ignore[no-any-return]
            except KeyboardInterrupt:
                pass

    async def main() -> None:
        recv, send = create_channel()
        go_recv, go = create_channel()
        task = await begin(interp, recv, stubborn, go_recv, send)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert interp.is_running()
        go.send("go")
        assert await interp.call_async(abs, -1) == 1

    run(main())


def test_time_out(interp: Interpreter) -> None:
    async def main() -> None:
        _, send = create_channel()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(interp.call_async(endless, send), 0.5)
        assert await interp.call_async(abs, -1) == 1

    run(main())


def test_a_storm_of_cancellations(interp: Interpreter) -> None:
    """No other call is hit by an interruption that comes too late."""

    async def main() -> None:
        for number in range(100):
            first = asyncio.ensure_future(interp.call_async(sum, range(number * 20)))
            second = asyncio.ensure_future(interp.call_async(pow, 2, number))
            for _ in range(number % 7):
                await asyncio.sleep(0)
            first.cancel()
            assert await second == 2**number
            await asyncio.wait([first])

    run(main())


def test_a_loop_that_ends_before_the_call(interp: Interpreter) -> None:
    recv, send = create_channel()
    go_recv, go = create_channel()

    async def main() -> asyncio.Task[Any]:
        return await begin(interp, recv, wait_on, go_recv, send)

    loop = asyncio.new_event_loop()
    task = loop.run_until_complete(main())
    loop.close()
    go.send(1)
    interp.submit(abs, -1).result(WAIT)
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    del task
    gc.collect()


def test_a_loop_in_an_interpreter(interp: Interpreter) -> None:
    interp.exec("""
import asyncio, builtins
import subinterpreters as si

with si.create() as inner:
    async def main():
        return await asyncio.gather(*(inner.call_async(builtins.abs, -n) for n in range(5)))
    assert asyncio.run(main()) == list(range(5))
""")


def test_a_closed_interpreter() -> None:
    interp = create()
    assert run(interp.call_async(builtins.abs, -1)) == 1
    interp.close()
    with pytest.raises(Exception, match="closed|shutdown"):
        run(interp.call_async(builtins.abs, -1))


def test_the_process_ends_meanwhile() -> None:
    run_script(
        """
        import asyncio, subinterpreters as si
        from subinterpreters import RecvChannel
        recv, send = si.create_channel()
        never, keep = si.create_channel()
        interp = si.create()
        def wait(never, send):
            send.send(1)
            never.recv()
        async def main():
            task = asyncio.ensure_future(interp.call_async(wait, never, send))
            await recv.recv_async()
        asyncio.run(main())
        """
    )
