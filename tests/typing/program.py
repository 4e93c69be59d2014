# SPDX-License-Identifier: MIT
"""What type checkers make of a program that uses the package. It is checked, not run."""

import asyncio
import logging
import queue
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Literal, assert_type

import subinterpreters
from subinterpreters import (
    UNBOUND,
    Barrier,
    BoundedSemaphore,
    ChannelClosedError,
    Condition,
    Event,
    ExecutionFailed,
    Interpreter,
    InterpreterError,
    ItemInterpreterDestroyed,
    Lock,
    LogListener,
    NotShareableError,
    Queue,
    QueueEmpty,
    QueueFull,
    RecvChannel,
    RLock,
    Semaphore,
    SendChannel,
    SharedBuffer,
)


def parse(line: str, *, separator: str = ",") -> list[str]:
    return line.split(separator)


def fetch(url: str, timeout: float) -> bytes:
    return f"{url} {timeout}".encode()


class Account:
    def __init__(self, owner: str) -> None:
        self.owner = owner

    def balance(self, currency: str = "EUR") -> float:
        return float(len(self.owner + currency))


def interpreters() -> None:
    interp = subinterpreters.create(isolation="private", name="worker")
    assert_type(interp, Interpreter)
    assert_type(interp.id, int)
    assert_type(interp.name, str)
    assert_type(interp.isolation, Literal["main", "own", "private", "shared", "foreign"])
    assert_type(interp.whence, str)
    assert_type(interp.is_running(), bool)
    assert_type(interp.interrupt(), bool)
    assert_type(interp.interrupt(TimeoutError), bool)
    assert_type(subinterpreters.list_all(), list[Interpreter])
    assert_type(subinterpreters.get_current(), Interpreter)
    assert_type(subinterpreters.get_main(), Interpreter)
    assert_type(Interpreter(0), Interpreter)
    interp.exec("pass")
    interp.exec(compile("pass", "script", "exec"), timeout=1.5)
    interp.exec(interpreters, timeout=None)
    interp.prepare_main({"limit": 10}, name="x")
    interp.prepare_main([("limit", 10)])
    interp.close()
    interp.close(None)
    interp.close(timeout=2)
    with subinterpreters.create() as other:
        assert_type(other, Interpreter)
    subinterpreters.set_reserve_limit(subinterpreters.get_reserve_limit())
    assert_type(subinterpreters.is_shareable(interp), bool)


def figures(interp: Interpreter) -> None:
    stats = interp.stats()
    assert_type(stats["state"], Literal["idle", "running", "closing", "closed"])
    assert_type(stats["name"], str)
    assert_type(stats["threads"], int | None)
    assert_type(stats["runs"], int | None)
    assert_type(stats["tasks"], int | None)
    assert_type(stats["bytes"], int | None)


def calls(interp: Interpreter) -> None:
    assert_type(interp.call(parse, "a,b"), list[str])
    assert_type(interp.call(parse, "a;b", separator=";"), list[str])
    assert_type(interp.call(parse, "a,b", timeout=1), list[str])
    assert_type(interp.call(fetch, "http://localhost", timeout=1), bytes)
    assert_type(interp.call(Account, "Ada"), Account)
    assert_type(interp.call(Account("Ada").balance, currency="CHF"), float)
    assert_type(interp.call(sum, [1, 2]), int)
    assert_type(interp.call(sorted, [2, 1], reverse=True), list[int])
    assert_type(interp.submit(parse, "a;b", separator=";"), Future[list[str]])
    assert_type(interp.submit(parse, "a,b").result(timeout=1), list[str])
    assert_type(interp.submit(Account, "Ada"), Future[Account])
    assert_type(interp.call_in_thread(parse, "a,b"), threading.Thread)
    assert_type(interp.call_in_thread(parse, "a,b", timeout=1), threading.Thread)


def failures(interp: Interpreter) -> None:
    try:
        interp.exec("1 / 0")
    except ExecutionFailed as error:
        assert_type(error.excinfo.type.__name__, str)
        assert_type(error.excinfo.msg, str)
        assert_type(error.excinfo.formatted, str)
        assert_type(error.excinfo.errdisplay, str | None)
    except InterpreterError:
        pass
    except NotShareableError as error:
        type_error: TypeError = error
        print(type_error)


def channels() -> None:
    recv, send = subinterpreters.create_channel(3)
    assert_type(recv, RecvChannel)
    assert_type(send, SendChannel)
    send.send({"x": 1}, timeout=0.5)
    send.send_nowait(None)
    send.send_buffer(b"text", timeout=None)
    send.send_buffer(memoryview(b"text"))
    send.send_buffer(SharedBuffer(8))
    assert_type(recv.recv(timeout=1), Any)
    assert_type(recv.recv_nowait(), Any)
    assert_type(recv.recv_nowait(None), Any)
    for item in recv:
        assert_type(item, Any)
    assert_type(len(recv), int)
    assert_type(recv.capacity, int | None)
    assert_type(send.closed, bool)
    assert_type(subinterpreters.select(recv, (send, 1), timeout=3), tuple[int, Any])
    try:
        subinterpreters.select(recv)
    except ChannelClosedError as error:
        assert_type(error.index, int)
    with send as same, recv as other:
        assert_type(same, SendChannel)
        assert_type(other, RecvChannel)


def queues() -> None:
    tasks = subinterpreters.create_queue(10, unbounditems=UNBOUND)
    assert_type(tasks, Queue)
    assert_type(Queue(tasks.id), Queue)
    tasks.put("task", timeout=1.5)
    tasks.put("task", False, unbounditems=subinterpreters.UNBOUND_REMOVE)
    tasks.put_nowait("task", unbounditems=subinterpreters.UNBOUND_ERROR)
    assert_type(tasks.get(timeout=1), Any)
    assert_type(tasks.get(False), Any)
    assert_type(tasks.get_nowait(), Any)
    assert_type(tasks.maxsize, int)
    assert_type(tasks.qsize(), int)
    assert_type(tasks.empty() or tasks.full(), bool)
    try:
        tasks.get()
    except QueueEmpty as error:
        empty: queue.Empty = error
        print(empty)
    except (QueueFull, ItemInterpreterDestroyed):
        pass


def buffers() -> None:
    buffer = SharedBuffer(800)
    assert_type(buffer.nbytes, int)
    assert_type(len(buffer), int)
    assert_type(memoryview(buffer), memoryview)
    assert_type(bytes(buffer), bytes)


def locks() -> None:
    for lock in (Lock(), RLock(), Condition(), Condition(Lock())):
        assert_type(lock.acquire(timeout=1), bool)
        assert_type(lock.locked(), bool)
        assert_type(lock.release(), None)
        with lock as acquired:
            assert_type(acquired, Literal[True])
    for semaphore in (Semaphore(2), BoundedSemaphore(value=2)):
        assert_type(semaphore.acquire(False), bool)
        assert_type(semaphore.release(2), None)
        with semaphore:
            pass
    Lock().reset()
    condition = Condition()
    with condition:
        assert_type(condition.wait(1), bool)
        assert_type(condition.wait_for(lambda: "ready", timeout=1), str)
        condition.notify(2)
        condition.notify_all()
    event = Event()
    event.set()
    event.clear()
    assert_type(event.wait(timeout=2.5), bool)
    assert_type(event.is_set(), bool)
    barrier = Barrier(2, action=lambda: None, timeout=1)
    assert_type(barrier.wait(), int)
    assert_type(barrier.broken, bool)
    assert_type(barrier.parties + barrier.n_waiting + barrier.id, int)


async def in_asyncio(interp: Interpreter) -> None:
    recv, send = subinterpreters.create_channel()
    tasks = subinterpreters.create_queue()
    assert_type(await send.send_async(1), None)
    assert_type(await recv.recv_async(), Any)
    assert_type(await subinterpreters.select_async(recv, (send, 1)), tuple[int, Any])
    assert_type(await tasks.put_async(1, unbounditems=UNBOUND), None)
    assert_type(await tasks.get_async(), Any)
    async for item in recv:
        assert_type(item, Any)
    call: Coroutine[Any, Any, list[str]] = interp.call_async(parse, "a,b")
    assert_type(await call, list[str])
    assert_type(await interp.call_async(parse, "a;b", separator=";"), list[str])
    task = asyncio.create_task(interp.call_async(fetch, "http://localhost", timeout=1))
    assert_type(task, asyncio.Task[bytes])
    async with asyncio.timeout(1):
        await recv.recv_async()


def logs(interp: Interpreter) -> None:
    listener = subinterpreters.log_to_parent(interp, logging.getLogger("x"), level="INFO")
    assert_type(listener, LogListener)
    listener.stop(timeout=1)
    with subinterpreters.log_to_parent(interp, level=logging.DEBUG) as other:
        assert_type(other, LogListener)


def in_c() -> None:
    assert_type(subinterpreters.get_include(), str)
    assert_type(subinterpreters.get_library(), str)
    assert_type(subinterpreters.__version__, str)
