# SPDX-License-Identifier: MIT
"""Code that is interrupted: by interrupt(), by a time-out, and by Ctrl-C."""

import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import CRASHES, WAIT, YIELDING_KINDS, run_script, start

import subinterpreters
from subinterpreters import (
    ExecutionFailed,
    Interpreter,
    InterpreterClosedError,
    InterpreterError,
    NotShareableError,
    create,
    create_channel,
    create_queue,
    get_current,
    get_main,
)

LOOP = "told.send(None)\nwhile True: pass"


class Enough(Exception):
    """Other interpreters can import it."""


def loop(told: Any) -> None:
    told.send(None)
    while True:
        pass


def receive(told: Any, wait: Any) -> Any:
    told.send(None)
    return wait.recv()


def call_on(inner: Interpreter, function: Any, *args: Any) -> Any:
    result = inner.call(function, *args)
    return result


@pytest.fixture(params=YIELDING_KINDS)
def interp(request: pytest.FixtureRequest) -> Iterator[Interpreter]:
    with create(isolation=request.param) as each:
        yield each


def until_it_ends(interp: Interpreter, run: Any, *args: Any) -> BaseException | None:
    """Interrupt again and again, as whoever does not know what the code does has to."""
    end = time.monotonic() + WAIT
    while not run.done() and time.monotonic() < end:
        interp.interrupt(*args)
        time.sleep(0.001)
    return run.exception(WAIT)


# ---- interrupt() ---------------------------------------------------------------------------------


def test_endless_loop(interp: Interpreter) -> None:
    told, tell = create_channel()
    interp.prepare_main(told=tell)
    for _ in range(20):
        run = start(interp.exec, LOOP)
        told.recv(WAIT)
        assert interp.interrupt() is True
        error: Any = run.exception(WAIT)
        assert type(error) is ExecutionFailed and error.excinfo.type.__name__ == "KeyboardInterrupt"
        run = start(interp.call, loop, tell)
        told.recv(WAIT)
        assert interp.interrupt(Enough) is True
        error = run.exception(WAIT)
        assert isinstance(error, Enough) and isinstance(error, ExecutionFailed)


def both_ends(capacity: int | None = None) -> dict[str, Any]:
    recv, send = create_channel(capacity)
    return {"recv": recv, "send": send}


WAITS: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
    "recv": ("recv.recv()", both_ends),
    "recv with time-out": ("recv.recv(timeout=1000)", both_ends),
    "iteration": ("for each in recv: pass", both_ends),
    "send": ("send.send(None)", lambda: both_ends(0)),
    "select": ("import subinterpreters as si; si.select(recv)", both_ends),
    "get": ("q.get()", lambda: {"q": create_queue()}),
    "put": ("q.put(1); q.put(2)", lambda: {"q": create_queue(1)}),
    "lock": ("lock.acquire(); lock.acquire()", lambda: {"lock": subinterpreters.Lock()}),
    "semaphore": ("s.acquire()", lambda: {"s": subinterpreters.Semaphore(0)}),
    "event": ("e.wait()", lambda: {"e": subinterpreters.Event()}),
    "condition": ("with c: c.wait()", lambda: {"c": subinterpreters.Condition()}),
    "barrier": ("b.wait()", lambda: {"b": subinterpreters.Barrier(2)}),
}


@pytest.mark.parametrize("what", WAITS)
def test_waits(interp: Interpreter, what: str) -> None:
    code, make = WAITS[what]
    told, tell = create_channel()
    for pause in 0, 0.05:  # it spins, or it sleeps
        names = make()
        interp.prepare_main(told=tell, **names)
        run = start(interp.exec, f"told.send(None)\n{code}")
        told.recv(WAIT)
        time.sleep(pause)
        assert interp.interrupt()
        error = run.exception(WAIT)
        assert isinstance(error, ExecutionFailed) and "KeyboardInterrupt" in str(error)
    interp.exec(f"del {', '.join(names)}")


def test_code_that_catches_it(interp: Interpreter) -> None:
    told, tell = create_channel()
    wait, go = create_channel()
    interp.prepare_main(told=tell, wait=wait)
    run = start(
        interp.exec,
        textwrap.dedent("""
            caught = []
            for n in range(2):
                try:
                    told.send(n)
                    while True:
                        pass
                except BaseException as error:
                    caught.append(type(error).__name__)
            told.send(caught)
            wait.recv()
        """),
    )
    assert told.recv(WAIT) == 0
    interp.interrupt()
    assert told.recv(WAIT) == 1
    interp.interrupt(SystemExit)
    assert told.recv(WAIT) == ["KeyboardInterrupt", "SystemExit"]
    assert not run.done()
    go.send(None)
    run.result(WAIT)


def test_finally_runs(interp: Interpreter) -> None:
    told, tell = create_channel()
    interp.prepare_main(told=tell)
    code = "try:\n told.send(1)\n while True: pass\nfinally:\n told.send('cleaned')"
    run = start(interp.exec, code)
    told.recv(WAIT)
    interp.interrupt()
    assert told.recv(WAIT) == "cleaned"
    with pytest.raises(ExecutionFailed):
        run.result(WAIT)


def test_a_stale_one_never_hits_the_next_run(interp: Interpreter) -> None:
    """The run that an interruption was meant for may just be ending."""
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    asked, ask = create_channel()
    done, tell = create_channel()

    def interrupts() -> None:
        for spin in asked:
            for _ in range(spin):
                pass
            tell.send(interp.interrupt(Enough))

    thread = start(interrupts)
    hit = clean = 0
    interp.exec("import support")
    races = 10_000 // len(YIELDING_KINDS)
    for _ in range(races):
        ask.send(rng.randrange(400))
        try:
            interp.exec(f"for each in range({rng.randrange(2000)}): pass")
            clean += 1
        except ExecutionFailed as error:
            assert error.excinfo.type.__name__ == "Enough", f"seed {seed}"
            hit += 1
        done.recv(WAIT)
        for _ in range(2):
            try:
                interp.exec("for each in range(50): pass")
            except ExecutionFailed as error:
                raise AssertionError(f"seed {seed}: a stale interruption") from error
    ask.close()
    thread.result(WAIT)
    assert hit + clean == races


def test_a_stale_one_leaves_waits_alone(interp: Interpreter) -> None:
    """A thread that was interrupted when it did not wait goes on waiting later."""
    told, tell = create_channel()
    recv, send = create_channel()
    interp.prepare_main(told=tell)

    def run_and_wait() -> Any:
        with pytest.raises(ExecutionFailed):
            interp.exec(LOOP)
        tell.send("waits")
        return recv.recv(WAIT)

    run = start(run_and_wait)
    told.recv(WAIT)
    interp.interrupt()
    assert told.recv(WAIT) == "waits"
    time.sleep(0.02)
    assert not run.done()
    send.send("here")
    assert run.result(WAIT) == "here"


def test_idle_closed_main(interp: Interpreter) -> None:
    assert interp.interrupt() is False
    interp.exec("pass")
    assert interp.interrupt(Enough) is False
    interp.close()
    with pytest.raises(InterpreterClosedError):
        interp.interrupt()
    for each in get_main(), get_current():
        with pytest.raises(InterpreterError, match=r"create\(\)"):
            each.interrupt()


def test_bad_arguments(interp: Interpreter) -> None:
    for bad in 5, None, "KeyboardInterrupt", int, object, Enough(), [KeyboardInterrupt]:
        with pytest.raises(TypeError, match="class of exceptions"):
            interp.interrupt(bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        interp.interrupt(Enough, Enough)  # type: ignore[call-arg]

    class Hidden(Exception):
        lock = threading.Lock()

    told, tell = create_channel()
    interp.prepare_main(told=tell)
    run = start(interp.exec, LOOP)
    told.recv(WAIT)
    with pytest.raises(NotShareableError):
        interp.interrupt(Hidden)
    assert not run.done()
    interp.interrupt()
    with pytest.raises(ExecutionFailed):
        run.result(WAIT)


def test_from_another_thread_of_it(interp: Interpreter) -> None:
    _told, tell = create_channel()
    interp.prepare_main(told=tell)
    with pytest.raises(ExecutionFailed, match="KeyboardInterrupt"):
        interp.exec(
            "import subinterpreters as si, threading\n"
            "thread = threading.Thread(target=si.get_current().interrupt)\n"
            "thread.start()\n"
            "while True: pass"
        )
    interp.exec("thread.join()")


def test_in_a_nested_run(interp: Interpreter) -> None:
    """Each can be interrupted: the inner one, and the outer one once the inner one is done."""
    told, tell = create_channel()
    wait, go = create_channel()
    with create() as inner:
        run = start(interp.call, call_on, inner, loop, tell)
        told.recv(WAIT)
        inner.interrupt(Enough)
        error: Any = run.exception(WAIT)
        assert isinstance(error, Enough)
        run = start(interp.call, call_on, inner, receive, tell, wait)
        told.recv(WAIT)
        assert interp.interrupt(Enough)
        time.sleep(0.02)
        assert not run.done()
        go.send("done")
        assert isinstance(run.exception(WAIT), Enough)
        assert inner.call(len, "ab") == 2
    assert interp.call(len, "abc") == 3


def test_many_threads_use_it_in_turn(interp: Interpreter) -> None:
    """Threads that ended leave nothing behind that an interruption goes to instead."""
    told, tell = create_channel()
    for n in range(60):
        run = start(interp.call, loop, tell)
        told.recv(WAIT)
        interp.interrupt(Enough)
        assert isinstance(run.exception(WAIT), Enough), n
        thread = threading.Thread(target=interp.call, args=[len, "x"])
        thread.start()
        thread.join()


def test_interrupts_from_all_sides(interp: Interpreter) -> None:
    told, tell = create_channel()
    for _ in range(20):
        run = start(interp.call, loop, tell)
        told.recv(WAIT)
        others = [start(until_it_ends, interp, run, Enough) for _ in range(4)]
        assert isinstance(run.exception(WAIT), (Enough, ExecutionFailed))
        for each in others:
            each.exception(WAIT)
        assert interp.call(len, "abc") == 3


# ---- time-outs -----------------------------------------------------------------------------------

CATCHES = """
told.send(None)
try:
    while True:
        pass
except BaseException:
    pass
while True:
    pass
"""


def test_time_outs(interp: Interpreter) -> None:
    recv, _send = create_channel()
    _told, tell = create_channel()
    interp.prepare_main(recv=recv, told=tell)
    for code in LOOP, CATCHES, "recv.recv()", "recv.recv(timeout=1000)":
        with pytest.raises(TimeoutError, match="was interrupted") as info:
            interp.exec(code, timeout=0.05)
        assert "KeyboardInterrupt" in str(info.value.__cause__)
    interp.exec(f"import {__name__}")  # of which an interruption would leave the half
    for function, args in (loop, (tell,)), (receive, (tell, recv)):
        with pytest.raises(TimeoutError, match="was interrupted"):
            interp.call(function, *args, timeout=0.05)
    with pytest.raises(TimeoutError):
        interp.exec("recv.recv()", timeout=0)
    interp.exec("x = 1", timeout=WAIT)
    assert interp.call(len, "abc", timeout=WAIT) == 3
    with pytest.raises(ExecutionFailed, match="ZeroDivisionError"):
        interp.exec("1 / 0", timeout=WAIT)
    with pytest.raises(KeyError):
        interp.call(eval, "{}[1]", timeout=WAIT)
    with pytest.raises(InterpreterClosedError):
        interp.close() or interp.exec("x", timeout=1)  # type: ignore[func-returns-value]


def test_code_that_does_not_react(interp: Interpreter) -> None:
    interp.exec("import time, subinterpreters")
    _recv, _send = create_channel()
    read, write = os.pipe()
    interp.prepare_main(fd=read)
    try:
        with pytest.raises(TimeoutError, match="did not react"):
            interp.exec("import os; os.read(fd, 1)", timeout=0.01)
        assert interp.is_running()
    finally:
        os.write(write, b"x")
    interp.close(timeout=WAIT)
    os.close(read)
    os.close(write)


# Each goes on when there is something to read from fd. It is interrupted at its next bytecode, and there is none.
NOT_INTERRUPTED = {
    "read": "os.read(fd, 1)",
    "socket": "s = socket.socket(fileno=fd); s.recv(1); s.detach()",
    "select": "select.select([fd], [], [])",
    "lock of threading": """
lock = threading.Lock()
lock.acquire()
def release():
    os.read(fd, 1)
    lock.release()
thread = threading.Thread(target=release)
thread.start()
lock.acquire()
""",
    "except BaseException: pass": """
while True:
    try:
        if select.select([fd], [], [], 0)[0]:
            break
    except BaseException:
        pass
""",
    "sleep": "time.sleep(2.5)",
}


@pytest.mark.parametrize("what", NOT_INTERRUPTED)
def test_code_that_cannot_be_interrupted(interp: Interpreter, what: str) -> None:
    """TimeoutError says so; the code goes on, and the next run is as any other."""
    interp.exec("import os, select, socket, threading, time")
    for timeout in 0.05, 1, 5:  # it may be interrupted before it waits
        here, there = socket.socketpair()
        with here, there:
            interp.prepare_main(fd=there.fileno())
            with pytest.raises(TimeoutError) as info:
                interp.exec(NOT_INTERRUPTED[what], timeout=timeout)
            if "the code was interrupted" in str(info.value):
                continue
            try:
                assert "did not react to being interrupted, and goes on" in str(info.value)
                assert interp.is_running()
                with pytest.raises(InterpreterError, match="already running"):
                    interp.exec("pass")
            finally:
                here.send(b"x")
            wait_until_idle(interp)
            break
    else:
        raise AssertionError("it was interrupted each time")
    interp.exec("for each in range(10_000): pass")  # a late interruption does not come here
    assert interp.call(len, "abc", timeout=WAIT) == 3


def wait_until_idle(interp: Interpreter) -> None:
    end = time.monotonic() + WAIT
    while interp.is_running() and time.monotonic() < end:
        time.sleep(0.001)
    assert not interp.is_running()


@pytest.mark.parametrize("kind", [kind for kind in YIELDING_KINDS if kind != "shared"])
def test_code_that_holds_the_gil(kind: str) -> None:
    """As above: a regular expression that backtracks, in an interpreter with a GIL of its own."""
    with create(isolation=kind) as interp:
        interp.exec("import re, time\ndef match(n): re.match('(a+)+$', 'a' * n + 'b')")
        _told, tell = create_channel()
        interp.prepare_main(told=tell)
        interp.exec(
            "n, took = 10, 0\n"
            "while took < 0.05:\n"
            "    n += 1\n"
            "    start = time.process_time()\n"
            "    match(n)\n"
            "    took = time.process_time() - start\n"
        )
        with pytest.raises(TimeoutError, match="did not react to being interrupted, and goes on"):
            interp.exec("told.send(None); match(n + 6)", timeout=0.01)  # for 3 seconds and more
        assert interp.is_running()
        wait_until_idle(interp)
        interp.exec("for each in range(10_000): pass")


IMPORT_LOCKS = {
    "the import lock": "import _imp\n_imp.acquire_lock()\n_imp.acquire_lock()",
    "a module's": """
import importlib._bootstrap as bootstrap
lock = bootstrap._get_module_lock("colorsys")
lock.acquire()
lock.acquire()
""",
    "a module's, not counted yet": """
import importlib._bootstrap as bootstrap, _thread
lock = bootstrap._get_module_lock("colorsys")
lock.owner = _thread.get_ident()
""",
    "what is in a module's": """
import importlib._bootstrap as bootstrap
lock = bootstrap._get_module_lock("colorsys")
if hasattr(lock.lock, "_is_owned"):
    lock.lock.acquire()
""",
}


@pytest.mark.parametrize("what", IMPORT_LOCKS)
def test_interrupted_when_it_has_a_lock_of_importlib(interp: Interpreter, what: str) -> None:
    """As it is when the exception comes right after importlib has taken the lock."""
    told, tell = create_channel()
    interp.prepare_main(told=tell)
    ended, leave = threading.Event(), threading.Event()

    def run() -> None:
        with pytest.raises(ExecutionFailed, match="KeyboardInterrupt"):
            interp.exec(f"{IMPORT_LOCKS[what]}\n{LOOP}")
        ended.set()
        leave.wait(2 * WAIT)  # else the next thread might have its number

    thread = start(run)
    told.recv(WAIT)
    assert interp.interrupt()
    assert ended.wait(WAIT)
    start(interp.exec, "import colorsys").result(WAIT)
    leave.set()
    thread.result(WAIT)


def test_interrupted_at_once(interp: Interpreter) -> None:
    """Other processes may take their time, so the best of some is looked at."""
    recv, _send = create_channel()
    told, tell = create_channel()
    interp.prepare_main(recv=recv, told=tell)
    for code in LOOP, "told.send(None); recv.recv()":
        took = []
        while not took or (min(took) > 0.2 and len(took) < 20):
            run = start(interp.exec, code)
            told.recv(WAIT)
            began = time.monotonic()
            interp.interrupt()
            assert isinstance(run.exception(WAIT), ExecutionFailed)
            took.append(time.monotonic() - began)
        assert min(took) < 0.2, took


# ---- Ctrl-C --------------------------------------------------------------------------------------

BEGIN = """
import os, signal, sys, threading, time
import subinterpreters as si

kind = sys.argv[1]
interp = si.create(isolation=kind)
told, tell = si.create_channel()
nobody, never = si.create_channel()
interp.prepare_main(told=tell, nobody=nobody)
LOOP = "told.send(None)\\nwhile True: pass"

def loop(told):
    told.send(None)
    while True:
        pass

def press(times=1):
    def run():
        for _ in range(times):
            told.recv(timeout=20)
            os.kill(os.getpid(), signal.SIGINT)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread

def interrupted(function, *args, **kwargs):
    thread = press()
    try:
        function(*args, **kwargs)
    except KeyboardInterrupt as error:
        assert not isinstance(error, si.InterpreterError), error
    else:
        raise AssertionError("not interrupted")
    thread.join()
    assert interp.call(len, "abc") == 3
"""

CTRL_C = {
    "exec": "interrupted(interp.exec, LOOP)",
    "call": "interrupted(interp.call, loop, tell)",
    "again": "for _ in range(20): interrupted(interp.exec, LOOP)",
    "time-out": "interrupted(interp.exec, LOOP, timeout=100)",
    "wait": "interrupted(interp.exec, 'told.send(None); nobody.recv()')",
    "queue": "q = si.create_queue(); interp.prepare_main(q=q)\n"
    "interrupted(interp.exec, 'told.send(None); q.get()')",
    "nested": """
for inner_kind in ([kind, "private"]):
    inner = si.create(isolation=inner_kind)
    inner.prepare_main(told=tell, nobody=nobody)
    for code in LOOP, "told.send(None); nobody.recv()":
        interrupted(interp.call, inner.exec, code)
        assert inner.call(len, "abc") == 3
    inner.close()
""",
    "caught": """
press()
code = '''
try:
    told.send(None)
    while True: pass
except KeyboardInterrupt:
    caught = True
'''
try:
    interp.exec(code)
    for _ in range(100000): pass
except KeyboardInterrupt:
    pass
else:
    raise AssertionError("it was swallowed")
assert interp.call(eval, "caught") is True
""",
    "handler": """
calls = []
def handler(number, frame):
    calls.append(number)
signal.signal(signal.SIGINT, handler)
press()
interp.exec('''
told.send(None)
import time
end = time.monotonic() + 0.1
while time.monotonic() < end: pass
ended = True
''')
assert calls == [signal.SIGINT], calls
assert interp.call(eval, "ended") is True
""",
    "handler that raises": """
class Told(Exception): pass
def handler(number, frame):
    raise Told
signal.signal(signal.SIGINT, handler)
press()
try:
    interp.exec('''
told.send(None)
import time
end = time.monotonic() + 0.1
while time.monotonic() < end: pass
ended = True
''')
except Told:
    pass
else:
    raise AssertionError
assert interp.call(eval, "ended") is True
""",
    "set later": """
interp.exec("pass")
signal.signal(signal.SIGINT, lambda *args: None)
thread = press()
interp.exec("told.send(None)")
thread.join()
signal.signal(signal.SIGINT, signal.default_int_handler)
interrupted(interp.exec, LOOP)
signal.signal(signal.SIGINT, signal.SIG_IGN)
interp.exec("pass")
os.kill(os.getpid(), signal.SIGINT)
interp.exec("pass")
signal.signal(signal.SIGINT, signal.default_int_handler)
interrupted(interp.exec, LOOP)
""",
    "idle": """
interp.exec("pass")
for _ in range(100):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000): pass
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError
    interp.exec("for each in range(3000): pass")
""",
    "before a run": """
# a signal that came just before is not lost
import _thread
interp.exec("pass")
for _ in range(50):
    try:
        _thread.interrupt_main()
        interp.exec("while True: pass")
    except KeyboardInterrupt:
        pass
""",
    "race": """
# whenever it comes: one KeyboardInterrupt for each signal, and nothing else
import random
seed = random.randrange(1 << 32)
rng = random.Random(seed)
asked, ask = si.create_channel()
sent, send = si.create_channel()
def kill():
    for pause in asked:
        for _ in range(pause): pass
        os.kill(os.getpid(), signal.SIGINT)
        send.send(None)
threading.Thread(target=kill, daemon=True).start()
for round in range(400):
    got = 0
    try:
        ask.send(rng.randrange(3000))
        try:
            while True:
                interp.exec("for each in range(100): pass")
        except KeyboardInterrupt:
            got += 1
        for _ in range(5):
            interp.exec("for each in range(500): pass")
        sent.recv(timeout=20)
        interp.exec("for each in range(500): pass")
    except BaseException as error:
        print("seed", seed, "round", round, file=sys.stderr)
        raise
    assert got == 1
""",
    "other thread": """
# code that another thread runs goes on
thread = threading.Thread(target=interp.exec, args=["told.send(None); assert nobody.recv() == 5"])
thread.start()
told.recv()
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(20)
except KeyboardInterrupt:
    pass
assert interp.is_running()
never.send(5)
thread.join()
""",
    "several": """
others = [si.create(isolation=kind) for _ in range(3)]
for each in others:
    each.prepare_main(told=tell, nobody=nobody)
for each in others:
    interrupted(each.exec, LOOP)
""",
}


@pytest.mark.parametrize("what", CTRL_C)
@pytest.mark.parametrize("kind", YIELDING_KINDS)
def test_ctrl_c(kind: str, what: str) -> None:
    run_script(BEGIN + CTRL_C[what] + "\nprint('end')", kind)


UNCAUGHT = """
print("ready", flush=True)
interp.exec("while True: pass")
"""


@pytest.mark.parametrize("kind", YIELDING_KINDS)
def test_ctrl_c_that_nobody_catches(kind: str) -> None:
    code = BEGIN + UNCAUGHT
    with subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-P", "-c", code, kind],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        try:
            _, stderr = process.communicate(timeout=WAIT)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGINT, stderr
    assert "KeyboardInterrupt" in stderr
    assert not any(crash in stderr for crash in CRASHES), stderr


PROMPT = """
def woken(wait):
    thread = threading.Thread(target=lambda: (told.recv(timeout=20), kill()))
    thread.start()
    try:
        wait()
    except KeyboardInterrupt:
        took = time.monotonic() - killed[-1]
    else:
        raise AssertionError("not interrupted")
    thread.join()
    return took

killed = []
def kill():
    time.sleep(0.02)  # it waits by then, or is about to
    killed.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)

queue = si.create_queue()
lock = si.Lock()
lock.acquire()
def told_first(function, *args):
    tell.send(None)
    return function(*args)
for wait in (
    lambda: interp.exec(LOOP),
    lambda: interp.call(loop, tell),
    lambda: interp.exec("told.send(None); nobody.recv()"),
    lambda: told_first(queue.get),
    lambda: told_first(nobody.recv),
    lambda: told_first(lock.acquire),
    lambda: told_first(interp.submit(nobody_recv, nobody).result),
):
    best = 1.0
    for _ in range(20):  # other processes may take their time
        best = min(best, woken(wait))
        if best < 0.1:
            break
    assert best < 0.1, best
    while interp.is_running():
        interp.interrupt()
        time.sleep(0.001)
print("end")
"""


@pytest.mark.parametrize("kind", YIELDING_KINDS)
def test_ctrl_c_wakes_the_main_thread_at_once(kind: str) -> None:
    function = "\ndef nobody_recv(nobody): return nobody.recv()\n"
    run_script(BEGIN + function + PROMPT, kind)


SIGNALLED = """
import random

class Signalled(Exception):
    pass

def handle(number, frame):
    raise Signalled

def send():
    while go.recv():
        until = time.perf_counter() + random.random() * 2e-5
        while time.perf_counter() < until:
            pass
        os.kill(os.getpid(), signal.SIGUSR1)

signal.signal(signal.SIGUSR1, handle)
go, tell_go = si.create_channel()
lock = si.Lock()
lock.acquire()
waits = [si.create_queue().get, nobody.recv, lambda timeout: lock.acquire(timeout=timeout)]
thread = threading.Thread(target=send)
thread.start()
for n in range(3000):
    try:
        tell_go.send(True)
        waits[n % 3](timeout=10)
    except Signalled:
        pass
    else:
        raise AssertionError
tell_go.send(False)
thread.join()
"""


def test_signals_that_come_before_it_sleeps() -> None:
    """None waits for the next one; tests/core/test_deadline.c has the exact moments."""
    run_script(BEGIN + SIGNALLED, YIELDING_KINDS[0])


LEAVES = """
running, tell_running = si.create_channel()
interp.prepare_main(running=tell_running)
code = "running.send(None)\\nwhile True: pass"
if sys.argv[2] == "submit":
    interp.submit(exec, code, {"running": tell_running})
else:
    threading.Thread(target=interp.exec, args=[code], daemon=sys.argv[2] == "daemon").start()
running.recv(timeout=20)
print("ready", flush=True)
si.create_queue().get()
"""


@pytest.mark.parametrize("kind", YIELDING_KINDS)
@pytest.mark.parametrize("worker", ["daemon", "thread", "submit"])
def test_ctrl_c_ends_a_process_with_a_worker(kind: str, worker: str) -> None:
    """Threads that are no daemons get their 2 seconds; a second Ctrl-C takes nothing from its cleanness."""
    for presses in (1, 2) if worker == "thread" else (1,):
        took = []
        while not took or (min(took) > 2.0 + (worker != "daemon") and len(took) < 5):
            with subprocess.Popen(
                [sys.executable, "-X", "faulthandler", "-P", "-c", BEGIN + LEAVES, kind, worker],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                began = time.monotonic()
                process.send_signal(signal.SIGINT)
                if presses == 2:
                    time.sleep(0.3)
                    process.send_signal(signal.SIGINT)
                try:
                    _, stderr = process.communicate(timeout=WAIT)
                finally:
                    process.kill()
                took.append(time.monotonic() - began)
            assert process.returncode in (-signal.SIGINT, 1), (process.returncode, stderr)
            assert "KeyboardInterrupt" in stderr
            assert not any(crash in stderr for crash in CRASHES), stderr
        assert min(took) < 2.0 + (worker != "daemon"), took
