# SPDX-License-Identifier: MIT
"""Each operation, done a hundred times, leaves nothing, neither here nor in the other interpreter.

A row is code. What rows leave is looked at after a hundred repeats, or 20 unless SUBI_TEST_LONG=1: blocks of Python's allocator, objects of
the collector, references if the build of CPython counts them, threads, descriptors, mappings, memory of
malloc. Caches fill at first, so a row is repeated before, and has some attempts at leaving nothing; what
leaks grows in each of them. Blocks and references are those of all interpreters of a runtime, so of all but
the private ones. The debug build that counts references: `make refleaks`.
"""

import ctypes
import functools
import os
import sys
import textwrap
import time
import typing
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import KINDS, LONG, LOOP_KINDS, YIELDING_KINDS

from subinterpreters import create, create_channel, get_reserve_limit, set_reserve_limit

REPEATS = 100
SLOW = 100 if LONG else 20  # of what takes more time, as it needs another interpreter
WARM_UP = 5
ATTEMPTS = 8

# What may be left in all after so many repeats: less than one of each kind for each.
SLACK = {
    "blocks": 5,
    "objects": 1,
    "references": 5,
    "threads": 0,
    "descriptors": 0,
    "mappings": 0,
    "bytes of malloc": 20,  # for each repeat: the smallest block that malloc has is 32
}

# What a row leaves until the next one comes is no leak. Some files are left to be closed with their last reference;
# a debug build tells of each, and the warnings have different texts, which are kept.
pytestmark = [pytest.mark.leaves_open, pytest.mark.filterwarnings("ignore::ResourceWarning")]

# ---- what is looked at ---------------------------------------------------------------------------

COUNT = """
import gc
import sys
import warnings

def count():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(sys, "_clear_type_cache", int)()  # it has names, among them such as nobody else has
    for _ in range(3):
        gc.collect()
    counts = {"objects": len(gc.get_objects())}
    if hasattr(sys, "gettotalrefcount"):
        counts["references"] = sys.gettotalrefcount()
    return counts | {"blocks": sys.getallocatedblocks()}
"""


class Mallinfo(ctypes.Structure):
    """Of glibc."""

    _fields_: typing.ClassVar = [
        (name, ctypes.c_size_t)
        for name in (
            [
                "arena",
                "ordblks",
                "smblks",
                "hblks",
                "hblkhd",
                "usmblks",
                "fsmblks",
                "uordblks",
                "fordblks",
                "keepcost",
            ]
        )
    ]


libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Mallinfo
names: dict[str, Any] = {}
exec(COUNT, names)  # noqa: S102
count_here = names["count"]


def entries(folder: str) -> int:
    return len(os.listdir(folder))


def count_process(threads: int | None) -> dict[str, int]:
    """What is the process's; a thread that has ended for Python may take a moment to be gone."""
    end = time.monotonic() + 1
    while threads is not None and entries("/proc/self/task") > threads and time.monotonic() < end:
        pass
    with open("/proc/self/maps", "rb") as file:
        mappings = file.read().count(b"\n")
    info = libc.mallinfo2()
    return {
        "threads": entries("/proc/self/task"),
        "descriptors": entries("/proc/self/fd"),
        "mappings": mappings,
        "bytes of malloc": info.uordblks + info.hblkhd,
    }


class Other:
    """Another interpreter that tells what there is in it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.interp = create(isolation=kind)  # type: ignore[arg-type]
        self._told, tell = create_channel()
        ask, self.ask = create_channel()
        self.answers, answer = create_channel()
        self.interp.prepare_main(tell=tell, ask=ask, answer=answer)
        self.interp.exec(COUNT + SETUP)

    def count(self) -> dict[str, int]:
        self.interp.exec("tell.send(count())")
        counts: dict[str, int] = self._told.recv()
        return counts


Repeat = Callable[[int], object]


def slack(name: str, times: int) -> int:
    most = SLACK[name.removesuffix(" there")]
    return max(most * times, 2000) if name == "bytes of malloc" else most


def left_by(repeat: Repeat, other: Other | None, times: int) -> dict[str, int]:
    """What so many repeats leave, above the slack."""

    def count(threads: int | None = None) -> dict[str, int]:
        count_here()  # what it finds has to be gone before blocks of all interpreters are counted there
        there = {f"{name} there": n for name, n in other.count().items()} if other else {}
        return count_process(threads) | there | count_here()

    repeat(WARM_UP)
    before = count()
    least = dict.fromkeys(before, sys.maxsize)
    for _ in range(ATTEMPTS):
        repeat(times)
        after = count(before["threads"])
        for name in least:
            least[name] = min(least[name], after[name] - before[name])
        left = {name: n for name, n in least.items() if n > slack(name, times)}
        if not left:
            break
        before = after
    return left


def assert_nothing_left(
    rows: dict[str, Repeat], other: Other | None = None, times: int = REPEATS
) -> None:
    """Rows together leave no more than the slack of one. If they do, say which it is."""

    def repeat_all(times: int) -> None:
        for repeat in rows.values():
            repeat(times)

    left = left_by(repeat_all, other, times)
    if left:
        each = {name: left_by(repeat, other, times) for name, repeat in rows.items()}
        raise AssertionError({name: what for name, what in each.items() if what} or left)


# ---- what rows can use ---------------------------------------------------------------------------

SETUP = """
import array, asyncio, copy, ctypes, datetime, decimal, enum, fractions, functools, io, json, mmap
import operator, os, pickle, socket, sys, tempfile, threading, types, uuid
from support import Lent, Node, Reduced, Unsendable, is_free
import subinterpreters as si
from subinterpreters import *
from subinterpreters import BrokenBarrierError, UNBOUND, UNBOUND_ERROR, UNBOUND_REMOVE
from subinterpreters._queues import Empty, Full

NOT_SENDABLE = threading.Lock()
PIPE = os.pipe()

def refused(*calls):
    for call in calls:
        try:
            call()
        except Exception:
            continue
        raise AssertionError(call.__code__.co_firstlineno if hasattr(call, "__code__") else call)

def on_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    return thread

def reset(lock):
    while True:  # up to 3.12 a thread that was joined may take a moment to end
        try: return lock.reset()
        except RuntimeError: os.sched_yield()

def until(condition):
    while not condition():
        os.sched_yield()

def close(value):
    for each in value.parts[0] if isinstance(value, Node) else [value]:
        each.close()

def run(function, *args):
    asyncio.run(function(*args))

async def begun(coroutine):
    task = asyncio.ensure_future(coroutine)
    await asyncio.sleep(0)
    return task

async def cancelled(*coroutines):
    tasks = [await begun(each) for each in coroutines]
    for each in tasks:
        each.cancel()
    for each in tasks:
        try:
            await each
        except asyncio.CancelledError:
            continue
        raise AssertionError(each)
"""


def repeated(code: str) -> str:
    """The source of a function that repeats a row, with a channel and a queue of its own."""
    body = textwrap.indent(textwrap.dedent(code).strip(), "    ")
    return f"""
def work(recv, send, queue):
{body}

def repeat(times, work=work, handles=(*create_channel(), create_queue())):
    for _ in range(times):
        work(*handles)
"""


@pytest.fixture
def here() -> Iterator[dict[str, Any]]:
    """The names that code of this interpreter can use."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(SETUP, names)  # noqa: S102
    yield names
    names.clear()


# On 3.12 ctypes refuses interpreters of kind own, too.
@pytest.fixture(scope="module", params=[each for each in LOOP_KINDS if each != "shared" or LONG])
def other(request: pytest.FixtureRequest) -> Iterator[Other]:
    each = Other(request.param)
    with each.interp:
        yield each


def define(names: dict[str, Any], rows: dict[str, str]) -> dict[str, Repeat]:
    """Functions that repeat rows here."""
    functions = {}
    for name, code in rows.items():
        exec(repeated(code), names)  # noqa: S102
        functions[name] = names["repeat"]
    return functions


def define_there(other: Other, rows: dict[str, str]) -> dict[str, Repeat]:
    """Functions that repeat rows in another interpreter."""
    other.interp.exec("functions = []")
    for code in rows.values():
        other.interp.exec(repeated(code) + "functions.append(repeat)")
    return {
        name: functools.partial(
            lambda number, times: other.interp.exec(f"functions[{number}]({times})"), number
        )
        for number, name in enumerate(rows)
    }


# ---- in one interpreter --------------------------------------------------------------------------

CHANNELS = {
    "create": "create_channel(); create_channel(0); create_channel(5)",
    "close": "r, s = create_channel(); s.close(); r.close(); s.close()",
    "with": """
        r, s = create_channel()
        with r, s:
            s.send(1)
        """,
    "send, recv": "send.send(1); recv.recv()",
    "time-outs that are not needed": "send.send('x' * 30, timeout=5); recv.recv(timeout=5)",
    "nowait": "send.send_nowait('x' * 100); recv.recv_nowait(); recv.recv_nowait(None)",
    "bursts": """
        for number in range(301):
            send.send((number, "x" * 40))
        for number in range(301):
            recv.recv()
        """,
    "send_buffer": """
        send.send_buffer(b"x" * 1000)
        send.send_buffer(array.array("d", [1, 2]), timeout=1)
        recv.recv().release()
        recv.recv()
        """,
    "iteration": """
        r, s = create_channel()
        for each in (1, [2], "3" * 100): s.send(each)
        s.close()
        assert len(list(r)) == 3
        """,
    "iteration that is left": """
        send.send("x" * 100)
        for each in recv: break
        """,
    "attributes": """
        for end in (recv, send):
            end.id, end.capacity, end.closed, len(end), repr(end), str(end), hash(end), bool(end)
            end == recv, end != send, end == 1
        """,
    "messages nobody receives": """
        r, s = create_channel()
        for each in (1, "x" * 100, [1, {2: "x" * 100}], bytearray(100), [send], queue, Node(Lock())):
            s.send(each)
        """,
    "messages that closing drops": """
        r, s = create_channel()
        for each in (1, "x" * 100, bytearray(100), send, queue, Lock(), SharedBuffer(99), Node(1)):
            s.send(each)
        r.close()
        """,
    "select": """
        send.send("x" * 40); si.select(recv); si.select((send, [1]), timeout=1)
        r, s = create_channel(1)
        assert si.select(r, recv) == (1, [1])
        si.select(r, (s, "y" * 40)); si.select((s, [1]), r)
        """,
    "select on what is closed": """
        r, s = create_channel()
        s.close()
        refused(lambda: si.select(recv, r), lambda: si.select((s, [2])))
        """,
    "time-outs": """
        full = create_channel(1)[1]
        r, s = create_channel(1)
        s.send("x" * 50)
        for call in (
            recv.recv, lambda **k: s.send("y" * 50, **k), lambda **k: si.select(recv, **k),
            lambda **k: si.select(recv, (s, [1, "z" * 50]), **k),
            lambda **k: s.send_buffer(bytearray(50), **k),
        ):
            refused(lambda: call(timeout=1e-6), lambda: call(timeout=0))
        """,
    "a thread that waits": """
        r, s = create_channel()
        thread = on_thread(r.recv)
        s.send("x" * 100)
        thread.join()
        """,
    "a thread that waits to send": """
        r, s = create_channel(0)
        thread = on_thread(s.send, "x" * 100)
        assert r.recv() == "x" * 100
        thread.join()
        """,
    "a thread that waits when it closes": """
        r, s = create_channel()
        thread = on_thread(refused, r.recv)
        s.close()
        thread.join()
        """,
    "closed": """
        r, s = create_channel()
        r.close()
        refused(
            lambda: s.send("x" * 50), lambda: s.send_nowait([1]), lambda: s.send_buffer(b"xxx"),
            lambda: r.recv(), lambda: r.recv_nowait(), lambda: r.recv_nowait(None),
        )
        send.send([r, s]); recv.recv()
        r.closed, s.closed, len(r), repr(s)
        """,
    "full and empty": """
        r, s = create_channel(1)
        s.send("x" * 50)
        refused(lambda: s.send_nowait("x" * 50), recv.recv_nowait)
        """,
    "errors": """
        refused(
            lambda: send.send(NOT_SENDABLE), lambda: send.send([1, "x" * 100, {"b": NOT_SENDABLE}]),
            lambda: send.send(bytearray(10), timeout=-1), lambda: send.send([], timeout="x"),
            lambda: send.send(), lambda: send.send(1, 2, 3), lambda: send.send(1, time=1),
            lambda: send.send_nowait(), lambda: send.send_nowait(NOT_SENDABLE),
            lambda: send.send_buffer(1), lambda: send.send_buffer("x"), lambda: send.send_buffer(),
            lambda: send.send_buffer(b"x", timeout="x"),
            lambda: recv.recv(timeout=float("nan")), lambda: recv.recv(timeout=-1),
            lambda: recv.recv("x"), lambda: recv.recv(1, 2), lambda: recv.recv_nowait(1, 2),
            lambda: si.select(1), lambda: si.select((recv, 1)),
            lambda: si.select(recv, (send,)), lambda: si.select(recv, (send, NOT_SENDABLE)),
            lambda: si.select((send, "x" * 50), (send, NOT_SENDABLE), recv),
            lambda: si.select(recv, timeout="x"), lambda: si.select(recv, timeout=-1),
            lambda: si.select(recv, wait=1), lambda: si.select(recv, recv, timeout=[]),
            lambda: create_channel(-1), lambda: create_channel("x"), lambda: create_channel(1, 2),
            lambda: create_channel(2**70), lambda: RecvChannel(), lambda: SendChannel(1),
            lambda: send < send, lambda: setattr(send, "id", 1),
            lambda: pickle.dumps(send), lambda: copy.copy(recv), lambda: si.no_such_name,
        )
        """,
}

QUEUES = {
    "create": "create_queue(); create_queue(3); create_queue(0, unbounditems=UNBOUND)",
    "put, get": """
        queue.put("x" * 100); queue.put_nowait([1]); queue.put(2, timeout=1); queue.put(3, False)
        queue.get(); queue.get_nowait(); queue.get(timeout=1); queue.get(False)
        """,
    "attributes": """
        q = create_queue(2, unbounditems=UNBOUND_ERROR)
        q.id, q.maxsize, q.unbounditems, q.qsize(), q.empty(), q.full(), repr(q), hash(q), q == queue
        assert Queue(q.id) is q
        """,
    "list": "from subinterpreters import _queues; _queues.list_all(); _queues.create()",
    "unbounditems": """
        for each in (UNBOUND, UNBOUND_ERROR, UNBOUND_REMOVE):
            queue.put("x" * 100, unbounditems=each)
            queue.get()
            send.send(each)
            assert recv.recv() is each
        """,
    "items nobody gets": """
        q = create_queue()
        for each in (1, "x" * 100, bytearray(9), send, queue, Node(1)):
            q.put(each, unbounditems=UNBOUND)
        """,
    "time-outs": """
        q = create_queue(1)
        q.put("x" * 100)
        refused(
            lambda: q.put("y" * 100, timeout=1e-6), lambda: q.put([1], timeout=0),
            lambda: q.put_nowait("y" * 100), lambda: q.put({}, block=False),
            lambda: queue.get(timeout=1e-6), lambda: queue.get(timeout=0), queue.get_nowait,
        )
        """,
    "errors": """
        refused(
            lambda: queue.put(NOT_SENDABLE), lambda: queue.put([bytearray(9), NOT_SENDABLE]),
            lambda: queue.put_nowait(NOT_SENDABLE), lambda: queue.put(), lambda: queue.put(1, x=2),
            lambda: queue.put([], timeout=-1), lambda: queue.put([], timeout="x"),
            lambda: queue.put(1, unbounditems=1), lambda: queue.put_nowait(1, unbounditems="x"),
            lambda: queue.get(timeout=-1), lambda: queue.get(timeout=[]), lambda: queue.get(1, 2, 3),
            lambda: queue.get_nowait(1), lambda: create_queue("x"), lambda: create_queue(1, 2),
            lambda: create_queue(2**80), lambda: create_queue(unbounditems=7), lambda: Queue(),
            lambda: Queue(10**9), lambda: Queue(-1), lambda: Queue("x"), lambda: Queue(10**30),
            lambda: Queue(send.id), lambda: queue < queue, lambda: setattr(queue, "maxsize", 1),
        )
        """,
    "weak references": "import weakref; q = create_queue(); weakref.ref(q); weakref.WeakSet([q])",
    "a thread that waits": """
        q = create_queue()
        thread = on_thread(q.get)
        q.put("x" * 100)
        thread.join()
        """,
}

LOCKS = {
    "create": """
        Lock(), RLock(), Semaphore(), Semaphore(2), BoundedSemaphore(3), Event(), Condition()
        Condition(Lock()), Condition(RLock()), Barrier(2), Barrier(3, print, 1.5)
        """,
    "attributes": """
        for each in (Lock(), RLock(), Semaphore(), BoundedSemaphore(), Event(), Condition(), Barrier(2)):
            each.id, repr(each), hash(each), each == each, each == 1
        """,
    "acquire, release": """
        for each in (Lock(), RLock(), Condition()):
            each.acquire(); each.locked(); each.release(); each.acquire(False); each.release()
            with each: pass
        """,
    "an RLock again": "lock = RLock()\nwith lock:\n  with lock: lock.acquire(); lock.release()",
    "reset": """
        for lock in (Lock(), RLock()):
            on_thread(lock.acquire).join()
            reset(lock)
        """,
    "one that its owner keeps": """
        lock = Lock()
        thread = on_thread(lock.acquire)
        thread.join()
        refused(lock.acquire, lock.release)
        reset(lock)
        """,
    "lock that is in use when it goes": "lock = Lock(); lock.acquire(); lock = RLock(); lock.acquire()",
    "semaphores": """
        for each in (Semaphore(2), BoundedSemaphore(2)):
            each.acquire(); each.acquire(timeout=1); each.acquire(False); each.release(2)
            with each: pass
        """,
    "events": "e = Event(); e.wait(1e-6); e.set(); e.wait(); e.is_set(); e.clear(); e.wait(timeout=0)",
    "conditions": """
        c = Condition()
        with c:
            c.notify(); c.notify_all(); c.notify(3); c.wait(1e-6)
            c.wait_for(lambda: [1], 1); c.wait_for(list, timeout=1e-6)
            refused(lambda: c.wait_for(lambda: 1 / 0), lambda: c.wait_for(1))
        """,
    "conditions, threads": """
        c, ready = Condition(), []
        def wait():
            with c: c.wait_for(lambda: ready, 5)
        thread = on_thread(wait)
        with c: ready.append(1); c.notify_all()
        thread.join()
        """,
    "barriers": """
        b = Barrier(1, lambda: [1])
        b.wait(); b.wait(1); b.parties, b.n_waiting, b.broken; b.reset(); b.abort()
        refused(b.wait, b.wait)
        b = Barrier(2)
        refused(lambda: b.wait(1e-6), b.wait)
        b = Barrier(1, lambda: 1 / 0)
        refused(b.wait)
        """,
    "barriers, threads": """
        b = Barrier(2, list, 5)
        thread = on_thread(b.wait)
        b.wait()
        thread.join()
        """,
    "time-outs": """
        lock, semaphore = Lock(), Semaphore(0)
        with lock:
            lock.acquire(timeout=1e-6); lock.acquire(False); lock.acquire(True, 1e-6)
        semaphore.acquire(timeout=1e-6); semaphore.acquire(False)
        """,
    "threads that wait": """
        lock, semaphore, event = Lock(), Semaphore(0), Event()
        def work():
            with lock: pass
            semaphore.acquire(); event.wait()
        with lock:
            threads = [on_thread(work), on_thread(work)]
        semaphore.release(2); event.set()
        for each in threads: each.join()
        """,
    "errors": """
        lock, rlock, semaphore, event = Lock(), RLock(), BoundedSemaphore(), Event()
        condition, barrier = Condition(), Barrier(2)
        refused(
            lock.release, rlock.release, semaphore.release, condition.release, condition.wait,
            condition.notify, condition.notify_all, lambda: condition.wait_for(list),
            lambda: lock.acquire(timeout="x"), lambda: lock.acquire(timeout=-2),
            lambda: lock.acquire(False, 1), lambda: lock.acquire(1, 2, 3), lambda: Lock(1),
            lambda: rlock.acquire(timeout=[]), lambda: RLock(1), lambda: Semaphore(-1),
            lambda: Semaphore("x"), lambda: BoundedSemaphore(2**80), lambda: semaphore.release(0),
            lambda: semaphore.release("x"), lambda: semaphore.acquire(timeout="x"),
            lambda: semaphore.acquire(False, timeout=1), lambda: event.wait("x"), lambda: Event(1),
            lambda: event.wait(-1), lambda: Condition(1), lambda: Condition(semaphore),
            lambda: condition.acquire(timeout="x"), lambda: condition.notify("x"),
            lambda: Barrier(0), lambda: Barrier("x"), lambda: Barrier(1, timeout=-1),
            lambda: barrier.wait("x"), lambda: barrier.wait(-1), lambda: Barrier(),
            lambda: pickle.dumps(lock), lambda: pickle.dumps(barrier), lambda: copy.copy(event),
            lambda: lock < lock, lambda: setattr(lock, "id", 1), lambda: lock.__exit__(),
        )
        """,
}

BUFFERS = {
    "SharedBuffer": """
        b = SharedBuffer(1000)
        len(b), b.nbytes, repr(b), hash(b), b == b, b == SharedBuffer(1), b != 1
        view = memoryview(b); view[0] = 1; bytes(b); view.release(); memoryview(b)
        SharedBuffer(0), SharedBuffer(nbytes=5_000_000)
        """,
    "SharedBuffer, errors": """
        refused(
            lambda: SharedBuffer(-1), lambda: SharedBuffer("x"), lambda: SharedBuffer(), lambda:
            SharedBuffer(2**64), lambda: SharedBuffer(sys.maxsize), lambda: SharedBuffer(1, 2),
            lambda: pickle.dumps(SharedBuffer(1)), lambda: SharedBuffer(1) < SharedBuffer(1),
        )
        """,
    "views": """
        owner = bytearray(1000)
        send.send(owner)
        view = recv.recv()
        view.nbytes, view[0], view[1:5].tolist(), view.cast("H").tolist()
        send.send(view[::2])
        part = recv.recv()
        part.release(); view.release()
        assert is_free(owner)
        """,
    "views that go": """
        owner = bytearray(1000)
        send.send([owner, owner]); recv.recv()
        send.send_buffer(memoryview(owner)); recv.recv()
        send.send(owner); send.send(owner); recv.recv(); recv.recv()
        until(lambda: is_free(owner))
        """,
    "refused": """
        refused(
            lambda: send.send((ctypes.py_object * 2)(1, 2)),
            lambda: send.send_buffer((ctypes.py_object * 2)(1, 2)),
            lambda: send.send_buffer([]), lambda: send.send([bytearray(10), NOT_SENDABLE]),
        )
        owner = memoryview(bytearray(3))
        owner.release()
        refused(lambda: send.send(owner), lambda: send.send_buffer(owner))
        """,
}

INTERPRETERS = {
    "which there are": """
        list_all(), get_current(), get_main(), get_reserve_limit(), is_shareable(1), is_shareable([])
        is_shareable(NOT_SENDABLE), si.get_include(), si.get_library()
        """,
    "by id": "assert Interpreter(get_current().id) is get_current(); Interpreter(0)",
    "attributes": """
        i = get_current()
        i.id, i.name, i.isolation, i.whence, repr(i), hash(i), i == i, i == 1, i.is_running(), i.stats()
        assert pickle.loads(pickle.dumps(i)) is i
        """,
    "errors": """
        refused(
            lambda: Interpreter(10**9), lambda: Interpreter("x"), lambda: Interpreter(-1),
            lambda: Interpreter(), lambda: Interpreter(10**30), lambda: Interpreter(1.5),
            lambda: create(isolation="none"), lambda: create(isolation=1), lambda: create(name=1),
            lambda: create(1), lambda: create(x=1), lambda: create(name="\\udc80"),
            lambda: get_main().close(), lambda: get_current().close("x"), lambda: list_all(1),
            lambda: get_current().close(timeout=-1), lambda: get_current().exec("1"),
            lambda: get_current().call(abs, 1), lambda: get_main().prepare_main(x=1),
            lambda: si.set_reserve_limit(-1), lambda: si.set_reserve_limit("x"),
            lambda: si.set_reserve_limit(1000), lambda: is_shareable(), lambda: get_main(1),
            lambda: get_main() < get_main(),
        )
        """,
}

ASYNC = {
    "at once": """
        async def main():
            await send.send_async("x" * 100); await recv.recv_async()
            await queue.put_async([1]); await queue.get_async()
            await queue.put_async(1, unbounditems=UNBOUND); await queue.get_async()
            await select_async((send, "x" * 100)); await select_async(recv)
        run(main)
        """,
    "waits": """
        async def main():
            r, s = create_channel(1)
            tasks = [await begun(r.recv_async()) for _ in range(3)]
            for _ in range(3): await s.send_async("x" * 100)
            for each in tasks: await each
            await s.send_async(1)
            task = await begun(s.send_async("y" * 100))
            await r.recv_async(); await task; await r.recv_async()
            task = await begun(select_async(r, recv, (send, 1)))
            await task; await recv.recv_async()
            task = await begun(select_async(r, recv))
            await send.send_async([1]); await task
        run(main)
        """,
    "queues that wait": """
        async def main():
            q = create_queue(1)
            task = await begun(q.get_async())
            await q.put_async("x" * 100); await task
            await q.put_async(1)
            task = await begun(q.put_async("y" * 100))
            await q.get_async(); await task; await q.get_async()
        run(main)
        """,
    "iteration": """
        async def main():
            r, s = create_channel()
            for number in range(70): await s.send_async(number)
            s.close()
            assert len([each async for each in r]) == 70
        run(main)
        """,
    "cancelled": """
        async def main():
            r, s = create_channel(1)
            q = create_queue(1)
            await cancelled(recv.recv_async(), q.get_async(), select_async(recv, r))
            s.send("x" * 100); q.put("x" * 100)
            await cancelled(
                s.send_async("y" * 100), q.put_async([1, bytearray(9)]), select_async(recv, (s, "z" * 100))
            )
        run(main)
        """,
    "cancelled when it is its turn": """
        async def main():
            task = await begun(recv.recv_async())
            send.send("x" * 100)
            task.cancel()
            await asyncio.wait([task])
            recv.recv_nowait(None)
        run(main)
        """,
    "time-outs": """
        async def main():
            for _ in range(2):
                try: await asyncio.wait_for(recv.recv_async(), 1e-5)
                except TimeoutError: pass
                else: raise AssertionError
        run(main)
        """,
    "given up by the loop": """
        async def main():
            global task
            task = await begun(recv.recv_async())
        run(main)
        assert task.cancelled()
        """,
    "never awaited": """
        import warnings
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            send.send_async("x" * 100); recv.recv_async(); queue.put_async([1]); queue.get_async()
            select_async(recv, (send, "x" * 100))
        """,
    "errors": """
        async def main():
            r, s = create_channel()
            r.close()
            for make in (
                lambda: send.send_async(NOT_SENDABLE), lambda: send.send_async(), lambda: recv.recv_async(1),
                lambda: select_async(1), lambda: select_async((send, NOT_SENDABLE)),
                lambda: queue.put_async(NOT_SENDABLE), lambda: queue.get_async(1),
                lambda: queue.put_async(1, unbounditems=2), r.recv_async, lambda: s.send_async("x" * 100),
                lambda: select_async(r, recv),
            ):
                try: await make()
                except Exception: continue
                raise AssertionError(make)
        run(main)
        """,
    "closed meanwhile": """
        async def main():
            r, s = create_channel()
            tasks = [await begun(r.recv_async()), await begun(select_async(r, recv))]
            s.close()
            for each in tasks:
                try: await each
                except ChannelClosedError: continue
                raise AssertionError
        run(main)
        """,
}

ALONE = {
    "channels": CHANNELS,
    "queues": QUEUES,
    "locks": LOCKS,
    "buffers": BUFFERS,
    "interpreters": INTERPRETERS,
    "async": ASYNC,
}


@pytest.mark.parametrize("group", ALONE)
def test_here(here: dict[str, Any], group: str) -> None:
    assert_nothing_left(define(here, ALONE[group]))


@pytest.mark.parametrize("group", ALONE)
def test_there(other: Other, group: str) -> None:
    if group == "async" and other.kind not in LOOP_KINDS:
        pytest.skip("two event loops end a process with 3.12")
    assert_nothing_left(define_there(other, ALONE[group]), other)
    other.interp.exec("del functions, repeat")


# ---- what is sent --------------------------------------------------------------------------------

VALUES = {
    "None": "None",
    "bool": "True",
    "int": "7",
    "int of 8 bytes": "1 << 62",
    "big int": "-1 << 200",
    "float": "0.5",
    "complex": "1j",
    "short str": "'x'",
    "str": "'x' * 100",
    "long str": "'x' * 10_000",
    "str of 2 bytes": "chr(0x20AC) * 50",
    "str of 4 bytes": "chr(0x1F40D) * 50",
    "surrogates": "chr(0xDC80) * 9",
    "short bytes": "b'x'",
    "bytes": "b'x' * 100",
    "long bytes": "b'x' * 10_000",
    "tuples": "((), (1, 'two', (3.0, b'four' * 20)))",
    "list": "[[], [1, 'two' * 30, [3.0, None]]]",
    "dict": "{'key': {(1, 'x' * 50): {}}, 2: 'x'}",
    "records": "[{'id': n, 'name': 'x' * n, 'more': {'a': [n]}} for n in range(70)]",
    "sets": "{1, 'x' * 50, frozenset({2, ('y' * 50,)})}",
    "the same again": "(lambda a, b: [a, b, a, {'x' * 70: b, 2: a}])([1], 'y' * 70)",
    "cycle": "(lambda a: a.append([a, {1: a}]) or a)([])",
    "deep": "functools.reduce(lambda inner, _: [inner], range(300), 1)",
    "Ellipsis": "...",
    "type": "dict",
    "function": "json.dumps",
    "lambda": "lambda x, y=[1]: (x, y)",
    "lambda with names": "lambda: json.dumps([array, 1])",
    "partial": "functools.partial(int, base=2)",
    "named tuple": "sys.version_info[:], os.stat_result(range(10))",
    "enum": "socket.AF_INET",
    "subclasses": "[__import__('collections').OrderedDict(a='x' * 50), __import__('collections').Counter('ab')]",
    "objects": "Node(1, [2], Node('x' * 100, {3: Node()}))",
    "objects in containers": "[1, {'a': Node('x')}, (Node(2),)]",
    "cycle of objects": "(lambda a: a.parts.append(a) or a)((lambda n: setattr(n, 'parts', []) or n)(Node()))",
    "standard library": "decimal.Decimal('1.5'), fractions.Fraction(1, 3), datetime.datetime(2020, 1, 1), uuid.UUID(int=1)",
    "exception": "ValueError('x' * 100, [1])",
    "exception group": "ExceptionGroup('g', [KeyError(1), OSError(2, 'no')])",
    "bytearray": "bytearray(100)",
    "memoryview": "memoryview(bytearray(100))[10:50:2]",
    "view of bytes": "memoryview(b'x' * 100)",
    "array": "array.array('d', [1, 2, 3])",
    "array of ctypes": "(ctypes.c_int * 4 * 2)()",
    "structure of ctypes": "ctypes.c_double(1.0)",
    "mmap": "mmap.mmap(-1, 4096)",
    "buffers in containers": "(lambda b: [b, {'b': b}, memoryview(b)])(bytearray(100))",
    "buffers in objects": "Node(Lent(bytearray(100)), memoryview(bytearray(50)), Lent(b'x' * 70))",
    "SharedBuffer": "[SharedBuffer(100), Node(SharedBuffer(1))]",
    "channel ends": "(create_channel(), [create_channel(3)[0]])",
    "queue": "create_queue(), create_queue(3, unbounditems=UNBOUND)",
    "constants of queues": "[UNBOUND, UNBOUND_ERROR, Node(UNBOUND_REMOVE)]",
    "interpreters": "[get_main(), get_current()]",
    "locks": "[Lock(), RLock(), Semaphore(2), BoundedSemaphore(2), Event(), Condition(), Condition(Lock())]",
    "barriers": "[Barrier(2), Barrier(2, json.dumps, 5)]",
    "handles in objects": "Node(create_channel(), create_queue(), Lock(), Condition(), Barrier(2), Event())",
    "standard streams": "[sys.__stdout__, sys.__stderr__]",
    "pipe": "open(os.dup(PIPE[0]), 'rb')",
    "raw file": "open('/dev/null', 'rb', buffering=0)",
    "binary file": "open('/dev/null', 'wb')",
    "both ways": "open('/dev/zero', 'r+b')",
    "text file": "open('/etc/passwd')",
    "text file that was read": "(lambda f: f.readline() and f)(open('/etc/passwd'))",
    "socket": "socket.socket()",
    "files in objects": "Node([open('/etc/passwd', 'rb'), socket.socket()])",
}
# Of these both sides have a descriptor, and one that nobody closes is warned of.
OF_DESCRIPTORS = [
    "pipe",
    "raw file",
    "binary file",
    "both ways",
    "text file",
    "text file that was read",
    "socket",
]
OF_DESCRIPTORS += ["files in objects"]

UNSENDABLE = {
    "lock of threading": "threading.Lock()",
    "after much": "[1, 'x' * 100, {'a': bytearray(100)}, create_channel(), SharedBuffer(9), threading.Lock()]",
    "frame": "sys._getframe()",
    "generator": "(each for each in [1])",
    "object that raises": "Unsendable(ValueError)",
    "object that raises, among others": "[Node(create_channel(), bytearray(10)), Unsendable(KeyError)]",
    "RecursionError": "Unsendable(RecursionError)",
    "MemoryError": "Unsendable(MemoryError)",
    "KeyboardInterrupt": "Unsendable(KeyboardInterrupt)",
    "closure": "(lambda lock: lambda: lock)(threading.Lock())",
    "closed file": "(lambda f: f.close() or f)(open('/dev/null'))",
    "closed socket": "(lambda s: s.close() or s)(socket.socket())",
    "file, and what is not": "[open('/etc/passwd'), open('/dev/null', 'wb'), Lock(), threading.Lock()]",
    "temporary file": "tempfile.NamedTemporaryFile()",
    "buffer of objects": "[bytearray(1), (ctypes.py_object * 1)()]",
    "bad reduce": "[Reduced(1), Reduced('x')]",
}

UNRECEIVABLE = {
    "it raises": "Reduced(int, 'x')",
    "among others": "[1, bytearray(10), create_channel(), Node(Lock(), Lent(bytearray(9)), Reduced(int, 'x'))]",
    "with descriptors": "Node(socket.socket(), open('/etc/passwd'), Reduced(divmod, 1, 0))",
    "no such attribute": "Reduced(__import__('operator').attrgetter('no'), 1)",
    "unhashable": "{Reduced(list)}",
    "SystemExit": "Reduced(sys.exit, 1)",
}

SEND = """
value = {value}
send.send(value)
got = recv.recv()
"""
SEND_THERE_AND_BACK = """
value = {value}
other.ask.send(value)
other.interp.exec("value = ask.recv(); answer.send(value); {close}; del value")
got = other.answers.recv()
"""
CLOSE = "close(value)"

SEND_IN_VAIN = """
value = {value}
for each in (send.send, queue.put, lambda value: si.select((send, value))):
    try: each(value)
    except BaseException: continue
    raise AssertionError(each)
if hasattr(value, "close"): value.close()
"""

RECEIVE_IN_VAIN = """
send.send({value})
try: recv.recv()
except BaseException: pass
else: raise AssertionError
other.ask.send({value})
try: other.interp.exec("ask.recv()")
except ExecutionFailed: pass
else: raise AssertionError
"""


def for_each(code: str, values: dict[str, str]) -> dict[str, str]:
    """Rows: the code, with each of the values."""

    def row(name: str, value: str) -> str:
        if name not in OF_DESCRIPTORS:
            return code.format(value=value, close="pass")
        return code.format(value=value, close=CLOSE) + f"{CLOSE}; close(got)"

    return {name: row(name, value) for name, value in values.items()}


def test_values_here(here: dict[str, Any]) -> None:
    assert_nothing_left(define(here, for_each(SEND, VALUES)))


def test_values_there_and_back(here: dict[str, Any], other: Other) -> None:
    here["other"] = other
    assert_nothing_left(define(here, for_each(SEND_THERE_AND_BACK, VALUES)), other, SLOW)


def test_what_cannot_be_sent(here: dict[str, Any]) -> None:
    assert_nothing_left(define(here, for_each(SEND_IN_VAIN, UNSENDABLE)))


def test_what_cannot_be_received(here: dict[str, Any], other: Other) -> None:
    here["other"] = other
    assert_nothing_left(define(here, for_each(RECEIVE_IN_VAIN, UNRECEIVABLE)), other, SLOW)


# ---- from one interpreter to another -------------------------------------------------------------

EXEC = {
    "text": "interp.exec('x = 1')",
    "code": "interp.exec(CODE)",
    "new code": "interp.exec(compile('x = [1]', 'file', 'exec'))",
    "function": "interp.exec(function)",
    "with time-out": "interp.exec('x = 1', timeout=30)",
    "failing": """
        for code in FAIL:
            try: interp.exec(code)
            except ExecutionFailed as error: repr(error), str(error), error.excinfo.type
            else: raise AssertionError(code)
        """,
    "failing function": "refused(lambda: interp.exec(failing))",
    "failing code": "refused(lambda: interp.exec(FAILING))",
    "wrong": """
        refused(
            lambda: interp.exec(1), lambda: interp.exec(b"x"), lambda: interp.exec("\\0"),
            lambda: interp.exec("\\udc80"), lambda: interp.exec(), lambda: interp.exec("1", "2"),
            lambda: interp.exec("1", timeout="x"), lambda: interp.exec("1", timeout=-1),
            lambda: interp.exec(lambda x: x), lambda: interp.exec(closure),
            lambda: interp.exec("1", time=1), lambda: interp.close("x"), lambda: interp.close(-1),
            lambda: interp.interrupt(1), lambda: interp.interrupt(int), lambda: interp.stats(1),
            lambda: interp._interrupt_run("x"), lambda: setattr(interp, "name", 1),
        )
        """,
    "what prints": "interp.exec('import sys; print(1); print(2, file=sys.stderr)')",
    "output that is forwarded": """
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()):
            interp.exec("import sys; print('x' * 100); print('y', file=sys.stderr)")
            interp.call(print, "x")
        assert "x" in out.getvalue()
        """,
    "output that is refused": """
        with redirect_stdout(REFUSING):
            refused(lambda: interp.exec("print('x', flush=True)"))
        """,
    "threads there": "interp.exec('thread = on_thread(abs, 1); thread.join()')",
    "from a thread": "on_thread(interp.exec, 'x = 1').join()",
}

CALL = {
    "builtin": "assert interp.call(abs, -1) == 1",
    "arguments": "interp.call(dict, [(1, 'x' * 100)], a=[1], b=bytearray(10))",
    "function by name": "interp.call(json.loads, '[1, 2]')",
    "function by value": "interp.call(function)",
    "lambda": "interp.call(lambda x: [x], 'x' * 100)",
    "method": "interp.call('x{}'.format, 1)",
    "result by pickle": "interp.call(Node, [1], Node())",
    "buffers": "interp.call(bytearray, b'x' * 100)",
    "handles": "interp.call(create_channel); interp.call(create_queue); interp.call(Lock)",
    "with time-out": "interp.call(abs, -1, timeout=30)",
    "failing": """
        for call in (
            (divmod, 1, 0), (int, "x"), (os.stat, "/no such"), (json.loads, "{"), (sys.exit, 3),
            (b"\\xff".decode,), (next, iter(())), (operator.attrgetter("x"), 1), (failing,),
            (with_causes,), (group,), (interrupted,),
        ):
            try: interp.call(*call)
            except BaseException as error: assert isinstance(error, ExecutionFailed), error
            else: raise AssertionError(call)
        """,
    "arguments that cannot be sent": """
        refused(
            lambda: interp.call(print, NOT_SENDABLE), lambda: interp.call(NOT_SENDABLE),
            lambda: interp.call(closure), lambda: interp.call(), lambda: interp.call(1),
            lambda: interp.call(dict, a=[bytearray(9), NOT_SENDABLE]), lambda: interp.call("x"),
            lambda: interp.call(print, Reduced(int, "x")), lambda: interp.call(abs, -1, timeout=-1),
            lambda: interp.call(abs, timeout="x"),
        )
        """,
    "result that cannot be sent": """
        refused(
            lambda: interp.call(threading.Lock), lambda: interp.call(lambda: [b"x", iter(open)]),
            lambda: interp.call(Reduced, int, "x"), lambda: interp.call(Unsendable, KeyError),
        )
        """,
    "exception that cannot be sent": "refused(lambda: interp.call(fail_with_a_lock))",
    "submit": "assert interp.submit(pow, 2, 10).result() == 1024",
    "submit, many": "[each.result() for each in [interp.submit(abs, -n) for n in range(20)]]",
    "submit, failing": """
        refused(interp.submit(divmod, 1, 0).result, interp.submit(NOT_SENDABLE).result)
        """,
    "submit, cancelled": """
        r, s = create_channel()
        first, second = interp.submit(receive, send, r), interp.submit(abs, -1)
        assert second.cancel()
        recv.recv()
        s.send(None)
        first.result()
        """,
    "call_in_thread": "interp.call_in_thread(abs, -1).join()",
    "call_async": """
        async def main():
            assert await interp.call_async(pow, 2, 10) == 1024
            for call in ((divmod, 1, 0), (NOT_SENDABLE,)):
                try: await interp.call_async(*call)
                except Exception: continue
                raise AssertionError(call)
        run(main)
        """,
    "call_async, cancelled before it begins": """
        async def main():
            task = asyncio.ensure_future(interp.call_async(abs, -1))
            task.cancel()
            await asyncio.wait([task])
        run(main)
        """,
    "call_async, cancelled": """
        async def main():
            r, s = create_channel()
            task = asyncio.ensure_future(interp.call_async(receive, s, create_channel()[0]))
            await r.recv_async()
            task.cancel()
            await asyncio.wait([task])
        run(main)
        """,
}

INTERRUPT = {
    "nothing": "assert not interp.interrupt() and not interp.interrupt(KeyError)",
    "a wait": """
        r, s = create_channel()
        thread = on_thread(refused_even, interp.call, receive, s, create_channel()[0])
        r.recv()
        while thread.is_alive(): interp.interrupt(); thread.join(0.001)
        """,
    "a loop": """
        r, s = create_channel()
        thread = on_thread(refused_even, interp.call, endless, s)
        r.recv()
        while thread.is_alive(): interp.interrupt(ValueError); thread.join(0.001)
        """,
    "time-out": """
        refused(
            lambda: interp.exec("while True: pass", timeout=0.0001),
            lambda: interp.call(endless, timeout=0),
        )
        """,
    "what runs already": """
        r, s = create_channel()
        back, there = create_channel()
        thread = on_thread(interp.call, receive, s, back)
        r.recv()
        assert interp.is_running()
        refused(
            lambda: interp.exec("1"), lambda: interp.call(abs, 1), interp.close,
            lambda: interp.prepare_main(x=[1]), lambda: interp.exec("1", timeout=1),
            lambda: interp.close(1e-6),
        )
        interp.stats()
        there.send(1)
        thread.join()
        """,
}

OTHERS = {
    "prepare_main": """
        interp.prepare_main(x="x" * 100, y=[1, 2.5])
        interp.prepare_main({"x": send, "y": queue}); interp.prepare_main([("x", 1), ("y", Lock())])
        interp.prepare_main({"x": Node(1)}, y=bytearray(10)); interp.prepare_main(x=None, y=None)
        """,
    "prepare_main, wrong": """
        refused(
            lambda: interp.prepare_main(x=NOT_SENDABLE), lambda: interp.prepare_main({1: 2}),
            lambda: interp.prepare_main(x=["y" * 100, bytearray(9), NOT_SENDABLE]),
            lambda: interp.prepare_main(1), lambda: interp.prepare_main([1]),
            lambda: interp.prepare_main(x=Reduced(int, "x")), lambda: interp.prepare_main({}, {}),
            lambda: interp.prepare_main({"x": bytearray(9)}, y=NOT_SENDABLE),
        )
        """,
    "attributes": """
        interp.id, interp.name, interp.isolation, interp.whence, repr(interp), hash(interp)
        interp == interp, interp.is_running(), interp.stats(), list_all(), Interpreter(interp.id)
        send.send([interp, Node(interp)])
        assert recv.recv()[0] is interp
        interp.call(Interpreter, interp.id); interp.call(list_all); interp.call(get_main)
        """,
    "attributes of main": "interp.exec('list_all(), get_main().stats(), repr(get_main())')",
    "messages": """
        send.send("x" * 100); send.send([bytearray(10)]); queue.put(Node(1))
        interp.call(receive_all, recv, queue)
        """,
    "waits on both sides": """
        r, s = create_channel(0)
        thread = on_thread(interp.call, list, r)
        for _ in range(3): s.send("x" * 100)
        s.close()
        thread.join()
        """,
    "locks on both sides": """
        locks = Lock(), Condition(), Semaphore(0), Event(), Barrier(2)
        thread = on_thread(interp.call, use_locks, *locks)
        use_locks(*locks)
        thread.join()
        """,
    "time-outs there": """
        locks = Lock(), Condition(), Semaphore(0), Event(), Barrier(2)
        interp.call(wait_in_vain, recv, queue, *locks)
        """,
    "lock whose owner is there no more": """
        lock = Lock()
        thread = on_thread(interp.call, lock.acquire)
        thread.join()
        refused(lock.acquire)
        reset(lock)
        """,
    "views of the other's memory": """
        view = interp.call(bytearray, 100)
        view[0] = 1
        interp.exec("answer.send(bytearray(100)); answer.send_buffer(b'x' * 100)")
        answers.recv().release(); answers.recv()
        """,
    "what is left in queues": """
        r, s = create_channel()
        interp.call(fill, s, create_queue())
        """,
    "async on both sides": """
        async def main():
            r, s = create_channel()
            back, there = create_channel()
            task = asyncio.ensure_future(interp.call_async(echo, r, there))
            for _ in range(5):
                await s.send_async("x" * 100); await back.recv_async()
            s.close()
            await task
        run(main)
        """,
    "logging": """
        with si.log_to_parent(interp, LOGGER, level="DEBUG"):
            interp.exec("import logging; logging.error('x %s', 1, extra={'a': [1]})")
        """,
    "logging, wrong": """
        refused(
            lambda: si.log_to_parent(1), lambda: si.log_to_parent(interp, 1),
            lambda: si.log_to_parent(interp, level="no"), lambda: si.log_to_parent(get_current()),
        )
        """,
    "the legacy module": """
        xx.run_string(interp.id, "x = 1"); xx.is_running(interp.id); xx.InterpreterID(interp.id)
        refused(
            lambda: xx.run_string(interp.id, "1 / 0"), lambda: xx.run_string(interp.id, "1", {"a": []}),
        )
        c = xx.channel_create()
        xx.channel_send(c, "x" * 100)
        xx.run_string(interp.id, LEGACY, {"c": c})
        assert xx.channel_recv(c) == "x" * 100
        """,
}

BOTH = {"exec": EXEC, "call": CALL, "interrupt": INTERRUPT, "others": OTHERS}

SETUP_BOTH = r"""
import _xxsubinterpreters as xx, logging
from contextlib import redirect_stderr, redirect_stdout

CODE = compile("x = 1", "file", "exec")
FAILING = compile("1 / 0", "file", "exec")
FAIL = (
    "1 / 0", "raise ValueError('x' * 1000)", "x +", "raise SystemExit", "no_such_name",
    "raise KeyboardInterrupt", "import no_such_module", "raise Exception from OSError()",
    "try: 1 / 0\nfinally: {}['a']", "raise ExceptionGroup('g', [KeyError(1)])",
    "class E(Exception):\n def __str__(self): 1 / 0\nraise E", "raise type('E', (Exception,), {})",
)
LEGACY = "import _xxsubinterpreters as xx; xx.channel_send(c, xx.channel_recv(c)); del c"
LOGGER = logging.getLogger("test_repeats")
LOGGER.disabled = True

class Refusing(io.StringIO):
    def write(self, text):
        raise ValueError

REFUSING = Refusing()

def refused_even(*call):
    try: call[0](*call[1:])
    except BaseException: pass
    else: raise AssertionError

def function(): return [1]
def failing(): return [][1]
def interrupted(): raise KeyboardInterrupt
def closure(lock=threading.Lock()): return lock

def fail_with_a_lock():
    import threading
    raise ValueError(threading.Lock())

def with_causes():
    try: [][1]
    except IndexError as error:
        error.add_note("x" * 100)
        error.attribute = [1]
        raise error from KeyError(1)

def group(): raise ExceptionGroup("g", [KeyError(1), OSError(2, "no")])

def receive(tell, recv):
    tell.send("runs")
    return recv.recv()

def endless(tell=None):
    if tell is not None: tell.send("runs")
    while True: pass

def receive_all(recv, queue):
    return len([recv.recv(), recv.recv(), queue.get()])

def use_locks(lock, condition, semaphore, event, barrier):
    with lock: pass
    barrier.wait()
    event.set(); event.wait()
    with condition: condition.notify_all()
    semaphore.release(); semaphore.acquire()
    barrier.wait()

def wait_in_vain(recv, queue, lock, condition, semaphore, event, barrier):
    for wait in (recv.recv, queue.get, barrier.wait):
        try: wait(timeout=1e-6)
        except Exception: pass
    with lock: lock.acquire(timeout=1e-6)
    with condition: condition.wait(timeout=1e-6)
    semaphore.acquire(timeout=1e-6); event.wait(timeout=1e-6)

def fill(send, queue):
    for each in ("x" * 100, bytearray(10), [send], Lock()):
        send.send(each); queue.put(each)

def echo(recv, send):
    for each in recv: send.send(each)
"""


@pytest.mark.parametrize("group", BOTH)
def test_both(here: dict[str, Any], other: Other, group: str) -> None:
    if group == "interrupt" and other.kind not in YIELDING_KINDS:
        pytest.skip("on 3.12 nothing interrupts what has the GIL")
    exec(SETUP_BOTH, here)  # noqa: S102
    here |= {"interp": other.interp, "answers": other.answers}
    assert_nothing_left(define(here, BOTH[group]), other, SLOW)


# ---- interpreters --------------------------------------------------------------------------------

LIVES = {
    "nothing else": "create(isolation=kind).close()",
    "that goes": "create(isolation=kind)",
}


@pytest.mark.skipif(sys.version_info < (3, 14), reason="CPython itself loses memory with each")
@pytest.mark.parametrize("kind", KINDS)
def test_lives(here: dict[str, Any], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "private":  # what the dynamic linker and libc keep for each that was loaded
        monkeypatch.setitem(SLACK, "bytes of malloc", 4096)
    exec(SETUP_BOTH, here)  # noqa: S102
    here["kind"] = kind
    limit = get_reserve_limit()
    set_reserve_limit(
        1
    )  # one that is used each time, and is warm then: several would get so in turns
    try:
        for _ in range(800 if kind != "private" else 0):
            create(isolation=kind).close()  # type: ignore[arg-type]
        assert_nothing_left(define(here, LIVES), times=SLOW)
    finally:
        set_reserve_limit(limit)
