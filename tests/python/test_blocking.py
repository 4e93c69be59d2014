# SPDX-License-Identifier: MIT
"""Every call that can wait: time-outs, and Ctrl-C while the main thread waits.

For each kind of interpreter one process goes through the table; the tests look at what it found. The calls are
made by the main interpreter, and by code inside an interpreter that the main thread runs.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support import WAIT, YIELDING_KINDS, run_program

import subinterpreters as si

ALLOWED = 0.05  # seconds after the end of the time, and after the signal
TRIES = 5  # for that, on a machine that has other things to do
HUNG = 10.0  # seconds

KINDS = [kind for kind in YIELDING_KINDS if kind != "shared"]  # which waits as "own"


class Call(NamedTuple):
    code: str  # an expression; **t is where a time-out goes
    late: Any = None  # what comes of it when the time is over: a value, or the name of an exception
    at_once: Any = None  # the same with no time at all
    library: bool = False  # the wait itself is the standard library's: in an interpreter it goes on
    loop: bool = (
        False  # so is the wait of an event loop: there, other handlers have to wait for its end
    )
    limited: bool = False  # without a time-out it does not wait
    after: str = "pass"  # what holds when it was interrupted


CALLS = {
    "recv": Call("recv.recv(**t)", "TimeoutError", "ChannelEmptyError"),
    "next": Call("next(recv)"),
    "iteration": Call("list(recv)"),
    "send": Call("full.send(2, **t)", "TimeoutError", "ChannelFullError"),
    "rendezvous": Call("handing.send(2, **t)", "TimeoutError", "ChannelFullError"),
    "send_buffer": Call("full.send_buffer(b'2', **t)", "TimeoutError", "ChannelFullError"),
    "select": Call("si.select(recv, (full, 2), **t)", "TimeoutError", "TimeoutError"),
    "select of nothing": Call("si.select(**t)", "TimeoutError", "TimeoutError"),
    "get": Call("nothing.get(**t)", "QueueEmpty", "QueueEmpty"),
    "put": Call("one.put(2, **t)", "QueueFull", "QueueFull"),
    "Lock": Call("lock.acquire(**t)", False, False),
    "with Lock": Call("lock.__enter__()"),
    "RLock": Call("rlock.acquire(**t)", False, False),
    "with RLock": Call("rlock.__enter__()"),
    "lock of a Condition": Call("locked.acquire(**t)", False, False),
    "with Condition": Call("locked.__enter__()"),
    "Semaphore": Call("semaphore.acquire(**t)", False, False),
    "with Semaphore": Call("semaphore.__enter__()"),
    "BoundedSemaphore": Call("bounded.acquire(**t)", False, False),
    "Event": Call("event.wait(**t)", False, False),
    "Condition.wait": Call("wait(**t)", False, False),
    "Condition.wait_for": Call("wait_for(**t)", 0, 0),
    "Barrier": Call(
        "barrier.wait(**t)",
        "BrokenBarrierError",
        "BrokenBarrierError",
        after="assert barrier.broken",
    ),
    "exec": Call("idle.exec('nobody.recv()', **t)", "TimeoutError", "TimeoutError"),
    "call": Call("idle.call(receive, nobody, **t)", "TimeoutError", "TimeoutError"),
    "close, a run": Call("busy.close(**t)", "TimeoutError", "InterpreterError", limited=True),
    "with, a run": Call("busy.__exit__(None, None, None)"),
    "close, a thread": Call("threaded.close(**t)", "TimeoutError", "TimeoutError"),
    "close, an executor": Call("pooled.close(**t)", "TimeoutError", "TimeoutError"),
    "close, a submitted call": Call("pending.close(**t)", "TimeoutError", "TimeoutError"),
    "LogListener.stop": Call("listener.stop(**t)", "TimeoutError", "TimeoutError"),
    "recv_async": Call("asyncio.run(later(recv.recv_async))", loop=True),
    "send_async": Call("asyncio.run(later(full.send_async, 2))", loop=True),
    "select_async": Call("asyncio.run(later(si.select_async, recv, (full, 2)))", loop=True),
    "async for": Call("asyncio.run(each(recv))", loop=True),
    "get_async": Call("asyncio.run(later(nothing.get_async))", loop=True),
    "put_async": Call("asyncio.run(later(one.put_async, 2))", loop=True),
    "call_async": Call("asyncio.run(later(idle.call_async, receive, nobody))", loop=True),
    "run_string": Call("legacy.run_string(old, 'nobody.recv()')"),
    "result": Call("future.result()", library=True),
    "join": Call("thread.join()", library=True),
}
TIMED = [name for name, call in CALLS.items() if "**t" in call.code]

# Where the calls are made: all that they wait for, and nobody who provides it.
WORLD = """
import asyncio, importlib, logging, sys, threading, time
import subinterpreters as si

inf, nan = float("inf"), float("nan")
recv, send = si.create_channel()
full_recv, full = si.create_channel(1)
full.send("first")
handing_recv, handing = si.create_channel(0)
nobody, somebody = si.create_channel()
nothing, one = si.create_queue(), si.create_queue(1)
one.put("first")
lock, rlock, locked = si.Lock(), si.RLock(), si.Condition()
semaphore, bounded, event = si.Semaphore(0), si.BoundedSemaphore(1), si.Event()
bounded.acquire()
condition, barrier = si.Condition(), si.Barrier(2)
ended = si.Event()

def receive(channel):
    return channel.recv()

def wait(**t):
    with condition:
        return condition.wait(**t)

def wait_for(**t):
    with condition:
        return condition.wait_for(int, **t)

async def later(function, *args):
    return await function(*args)

async def each(channel):
    async for _ in channel:
        pass

def hold():
    with lock, rlock, locked:
        has.set()
        ended.wait()

has = threading.Event()
holder = threading.Thread(target=hold)
holder.start()
has.wait()

idle, busy, threaded, pooled, pending, logged, apart = [si.create(isolation=kind) for _ in range(7)]
told_recv, told = si.create_channel()
for interp in idle, busy, threaded, pooled:
    interp.prepare_main(nobody=nobody, told=told, ended=ended)
running = threading.Thread(target=busy.exec, args=["told.send(1); ended.wait()"])
running.start()
threaded.exec("import threading; threading.Thread(target=ended.wait).start(); told.send(1)")
pooled.exec("from concurrent.futures import ThreadPoolExecutor\\n"
            "pool = ThreadPoolExecutor(1); pool.submit(ended.wait); told.send(1)")
future = pending.submit(ended.wait)
thread = apart.call_in_thread(ended.wait)
for _ in range(3):
    told_recv.recv(timeout=10)

class Waits(logging.Handler):
    def emit(self, record):
        told.send(1)
        ended.wait()

logger = logging.getLogger("waits")
logger.addHandler(Waits())
logger.propagate = False
listener = si.log_to_parent(logged, logger)
logged.exec("import logging; logging.warning('one')")
told_recv.recv(timeout=10)

importlib.import_module("subinterpreters")._install_xxsubinterpreters()
import _xxsubinterpreters as legacy
old = legacy.create()
legacy.run_string(old, "import subinterpreters as si; nobody, somebody = si.create_channel()")
"""

# After each call: nothing has come or gone.
CHECK = """
assert len(recv) == 0 and len(full_recv) == 1 and len(handing_recv) == 0 and len(nobody) == 0
send.send(5)
assert recv.recv(timeout=5) == 5
assert full_recv.recv(timeout=5) == "first"
full.send("first")
assert nothing.qsize() == 0 and one.get(timeout=5) == "first"
one.put("first")
assert lock.locked() and rlock.locked() and locked.locked() and not condition.locked()
assert not semaphore.acquire(False) and not bounded.acquire(False) and not event.is_set()
barrier.reset()
assert barrier.n_waiting == 0
assert idle.call(len, "abc") == 3
assert busy.is_running()
for interp in threaded, pooled, logged:
    assert interp.call(len, "abc") == 3
legacy.run_string(old, "pass")
assert not future.done()
# before 3.13 an interrupted join() marks a thread that lives as ended
assert thread.is_alive() or sys.version_info < (3, 13)
"""

END = """
ended.set()
for each in holder, running, thread:
    each.join(10)
assert future.result(10) is True
listener.stop(10)
assert lock.acquire(False) and rlock.acquire(False) and locked.acquire(False)
semaphore.release(), bounded.release()
assert semaphore.acquire(False) and bounded.acquire(False)
for interp in idle, busy, threaded, pooled, pending, logged, apart:
    interp.close(10)
legacy.destroy(old)
"""

BEGUN = "begun.send(None)\n"

TIMES = """
began = time.monotonic()
try:
    value = {code}
except Exception as error:
    value = type(error).__name__
out.send((value, time.monotonic() - began))
"""

RAISES = """
try:
    value = {code}
except Exception as error:
    value = f"{{type(error).__name__}}: {{error}}"
out.send(value)
"""

NEGATIVE = "ValueError: timeout must not be negative, got"
NO_NUMBER = "TypeError: timeout must be a number of seconds or None, got"
WRONG = {
    "-2": f"{NEGATIVE} -2",
    "-inf": f"{NEGATIVE} -inf",
    "nan": f"{NEGATIVE} nan",
    "'1'": f"{NO_NUMBER} str",
    "[]": f"{NO_NUMBER} list",
    "1j": f"{NO_NUMBER} complex",
    "10**400": "OverflowError: int too large to convert to float",
}


# ---- in a process of its own --------------------------------------------------------------------


def tell(what: str, told: Any) -> None:
    print(json.dumps([what, told]), flush=True)


class Watch:
    """Sends signals to the main thread when it sleeps."""

    def __init__(self) -> None:
        self.sent = 0.0
        self._handled = threading.Event()
        self._main = threading.get_native_id()
        signal.signal(signal.SIGUSR1, lambda *_: self._handled.set())
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _is_asleep(self) -> bool:
        with open(f"/proc/self/task/{self._main}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "S"

    def _await_sleep(self) -> None:
        """Return when the main thread sleeps, and not because it wants the GIL."""
        looks = 0
        while looks < 3:
            looks = looks + 1 if self._is_asleep() else 0
            time.sleep(0.001)

    def press(self, what: str, begun: Any, ended: threading.Event, other: bool) -> None:
        """Send SIGINT; before it, if `other`, SIGUSR1, after whose handler the wait goes on."""
        begun.recv(timeout=HUNG)
        self._await_sleep()
        if other:
            self._handled.clear()
            os.kill(os.getpid(), signal.SIGUSR1)
            self._must_be_set(self._handled, f"{what}: SIGUSR1")
            self._await_sleep()
        self.sent = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)
        self._must_be_set(ended, what)

    def _must_be_set(self, event: threading.Event, what: str) -> None:
        if not event.wait(HUNG):
            tell(what, "the signal is not handled")
            os._exit(1)


class Place:
    """Where the calls are made."""

    def __init__(self, kind: str, inside: bool) -> None:
        self.begun, begun = si.create_channel()
        self.out, out = si.create_channel()
        self._names: dict[str, Any] = {"begun": begun, "out": out, "kind": kind, "t": {}}
        self._interp = si.create(isolation=kind) if inside else None
        self._watch = Watch()
        if self._interp is not None:
            self._interp.prepare_main(self._names)
        self.do(WORLD)

    def do(self, code: str) -> None:
        if self._interp is not None:
            self._interp.exec(code)
        else:
            exec(compile(code, "blocking", "exec"), self._names)  # noqa: S102

    def close(self) -> None:
        self.do(END)
        if self._interp is not None:
            self._interp.close()

    def interrupted(self, what: str, call: Call, other: bool) -> float:
        """Return how long after SIGINT the call came back."""
        ended = threading.Event()
        args = what, self.begun, ended, other
        thread = threading.Thread(target=self._watch.press, args=args, daemon=True)
        thread.start()
        try:
            self.do(BEGUN + call.code)
        except KeyboardInterrupt:
            took = time.monotonic() - self._watch.sent
        else:
            raise AssertionError(f"{what}: not interrupted")
        finally:
            ended.set()
        thread.join()
        self.do(call.after)
        self.do(CHECK)
        return took

    def timed(self, code: str, timeout: float) -> tuple[Any, float]:
        """Return what came of a call, and how late."""
        self.do(TIMES.format(code=code))
        value, took = self.out.recv(timeout=HUNG)
        self.do(CHECK)
        return value, took - timeout


def interrupt(place: Place, name: str, call: Call, other: bool) -> None:
    limits = [] if call.limited else ["{}"]
    if name in TIMED:
        limits += [f"dict(timeout={each})" for each in ("None", "inf", "1e300", "True")]
    for limit in limits:
        place.do(f"t = {limit}")
        took = HUNG
        for _ in range(TRIES):
            took = min(took, place.interrupted(f"{name}, {limit}", call, other))
            if took <= ALLOWED:
                break
        tell(f"{name} interrupted", took)
        other = False


def time_out(place: Place, name: str, call: Call) -> None:
    for timeout, expected in (0.05, call.late), (0, call.at_once):
        place.do(f"t = dict(timeout={timeout})")
        late = HUNG
        for _ in range(TRIES):
            value, took = place.timed(call.code, timeout)
            if value != expected:
                tell(f"{name} timed", f"timeout={timeout}: {value}")
            late = min(late, took)
            if late <= ALLOWED:
                break
        tell(f"{name} timed", late)


def be_wrong(place: Place, name: str, call: Call) -> None:
    for wrong in WRONG:
        place.do(f"t = dict(timeout={wrong})")
        place.do(RAISES.format(code=call.code))
        tell(f"{name} wrong", [wrong, place.out.recv(timeout=HUNG)])
    place.do(CHECK)


def go_through(kind: str, inside: bool) -> None:
    """Make each call, and print what comes of it."""
    place = Place(kind, inside)
    for name, call in CALLS.items():
        if inside and call.library:
            continue
        interrupt(place, name, call, other=not (inside and call.loop))
        if name in TIMED:
            time_out(place, name, call)
            be_wrong(place, name, call)
    place.close()
    tell("end", None)


# ---- the tests -----------------------------------------------------------------------------------

SCRIPT = """
import os, sys, traceback
sys.path.insert(0, sys.argv[1])
import test_blocking
try:
    test_blocking.go_through(sys.argv[2], sys.argv[3] == "inside")
except BaseException:
    traceback.print_exc()
    os._exit(1)  # threads that wait would keep the process
"""


@cache
def process(kind: str, where: str) -> subprocess.CompletedProcess[str]:
    folder = str(Path(__file__).parent)
    options = ["-X", "faulthandler", "-P", "-c", SCRIPT]
    return run_program([sys.executable, *options, folder, kind, where], timeout=2 * WAIT)


def found(kind: str, where: str, what: str) -> list[Any]:
    done = process(kind, where)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    told = [value for each, value in lines if each == what]
    assert told, f"{lines[-1:]}\n{done.stderr}"
    return told


each_place = pytest.mark.parametrize(
    ("kind", "where"), [(kind, where) for kind in KINDS for where in ("main", "inside")]
)


@each_place
@pytest.mark.parametrize("name", CALLS)
def test_ctrl_c(kind: str, where: str, name: str) -> None:
    if where == "inside" and CALLS[name].library:
        pytest.skip("it waits in the standard library")
    assert max(found(kind, where, f"{name} interrupted")) <= ALLOWED


@each_place
@pytest.mark.parametrize("name", TIMED)
def test_the_time_is_over(kind: str, where: str, name: str) -> None:
    late = found(kind, where, f"{name} timed")
    assert all(isinstance(each, float) and each <= ALLOWED for each in late), late


@each_place
@pytest.mark.parametrize("name", TIMED)
def test_wrong_time_outs(kind: str, where: str, name: str) -> None:
    assert dict(found(kind, where, f"{name} wrong")) == WRONG


@each_place
def test_nothing_is_lost(kind: str, where: str) -> None:
    found(kind, where, "end")
    done = process(kind, where)
    assert done.returncode == 0 and not done.stderr, done.stderr
