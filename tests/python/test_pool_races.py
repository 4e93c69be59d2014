# SPDX-License-Identifier: MIT
"""Several threads, signals and callbacks that meet in one pool."""

import collections
import fractions
import importlib
import pathlib
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from typing import Any

import pool_tasks as tasks
import pytest
from support import WAIT, not_under_asan, run_script, start

from subinterpreters import (
    BrokenInterpreterPool,
    InterpreterPoolExecutor,
    create_channel,
    list_all,
)


@pytest.fixture
def pool() -> Iterator[InterpreterPoolExecutor]:
    with InterpreterPoolExecutor(2) as each:
        yield each


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads switch as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def fraction(n: int) -> list[fractions.Fraction]:
    """Something that takes code of Python's to be received."""
    return [fractions.Fraction(n + 1, 7) for _ in range(300)]


# ---- signals ------------------------------------------------------------------------------------


def test_handlers_that_raise_lose_nothing() -> None:
    """Whoever waits for one future gives others their results: a handler must not come in between."""
    run_script("""
        import signal, sys, time
        from subinterpreters import InterpreterPoolExecutor

        class Alarm(Exception): pass

        armed = False

        def handle(*args):
            if armed: raise Alarm

        reported = []
        sys.unraisablehook = reported.append
        signal.signal(signal.SIGALRM, handle)
        pool = InterpreterPoolExecutor(2)
        pool.submit(abs, 1).result()
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        end = time.monotonic() + 2
        raised = 0
        while time.monotonic() < end:
            others = [pool.submit(abs, -k) for k in range(3)] + [pool.submit(complex, "1j")]
            try:
                armed = True
                others[2].result(5)
                armed = False
            except Alarm:
                armed = False
                raised += 1
            assert [f.result(5) for f in others] == [0, 1, 2, 1j]
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert raised > 10 and not reported, (raised, reported)
        pool.shutdown()
    """)


def test_ctrl_c_among_the_results_of_others() -> None:
    """Who waits for a long call, and is kept from sleeping by short ones, still reacts."""
    run_script("""
        import os, signal, threading, time
        from subinterpreters import InterpreterPoolExecutor

        pool = InterpreterPoolExecutor(2)
        slow = pool.submit(time.sleep, 5)
        stop = False

        def pump():
            while not stop:
                for future in [pool.submit(abs, -1) for _ in range(200)]:
                    assert future.result(10) == 1

        thread = threading.Thread(target=pump)
        thread.start()
        sent = []

        def interrupt():
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

        threading.Timer(0.5, interrupt).start()
        try:
            slow.result()
        except KeyboardInterrupt:
            assert time.monotonic() - sent[0] < 2
        else:
            raise AssertionError
        stop = True
        thread.join()
        assert slow.exception(10) is None
        pool.shutdown()
    """)


# ---- maps -----------------------------------------------------------------------------------------


def test_a_map_is_closed_while_its_source_runs() -> None:
    entered, go = threading.Event(), threading.Event()

    def numbers() -> Iterator[int]:
        kept = [object() for _ in range(1000)]
        yield 0
        yield 1
        entered.set()
        assert go.wait(WAIT)
        yield len(list(kept))

    with InterpreterPoolExecutor(1) as pool:
        results: Any = pool.map(abs, numbers(), buffersize=2)
        rest = start(list, results)
        assert entered.wait(WAIT)
        results.close()
        go.set()
        assert rest.result(WAIT) == [0]


def test_a_map_is_closed_while_somebody_waits(pool: InterpreterPoolExecutor) -> None:
    blocked = [pool.submit(time.sleep, 0.5) for _ in range(2)]
    results: Any = pool.map(abs, [1, 2, 3])
    waiting = start(list, results)
    time.sleep(0.1)  # it waits by then, or soon
    results.close()
    assert waiting.result(0.3) == []
    for future in blocked:
        future.result(WAIT)


@pytest.mark.usefixtures("switching")
def test_threads_that_share_a_map(pool: InterpreterPoolExecutor) -> None:
    """As with a generator, one takes at a time; each result comes once."""
    refused = collections.Counter[str]()
    for _ in range(20):
        results = pool.map(fraction, range(30))
        taken: list[int] = []

        def take(results: Any = results, taken: list[int] = taken) -> None:
            while True:
                try:
                    taken.append(next(results)[0].numerator)
                except StopIteration:
                    return
                except ValueError as error:
                    refused[str(error)] += 1

        for thread in [start(take) for _ in range(3)]:
            thread.result(WAIT)
        assert sorted(taken) == sorted(fraction(n)[0].numerator for n in range(30))
    assert set(refused) <= {"another thread takes the next result already"}


@pytest.mark.parametrize("progress", [False, True])
def test_a_map_is_cancelled(progress: bool) -> None:
    """shutdown(cancel_futures=True) is for what has not begun, of maps that run, too."""
    pool = InterpreterPoolExecutor(1)
    begun, go = threading.Event(), time.monotonic()

    def tell(_: int) -> None:
        begun.set()

    results = pool.map(time.sleep, [0.1] * 100, progress=tell if progress else None)
    first = next(results)
    assert first is None
    pool.shutdown(cancel_futures=True)
    with pytest.raises(CancelledError):
        list(results)
    assert time.monotonic() - go < 5
    assert begun.is_set() == progress


def test_buffered_maps_keep_all_workers_busy() -> None:
    with InterpreterPoolExecutor(2) as pool:
        list(pool.map(time.sleep, [0.05] * 2))
        begin = time.monotonic()
        for _ in pool.map(time.sleep, [0.2] * 10, buffersize=2):
            time.sleep(0.01)
        assert time.monotonic() - begin < 1.6  # one after the other takes 2


def test_a_map_that_goes_on_starts_workers() -> None:
    """Those that there are may be busy with what depends on it."""
    with InterpreterPoolExecutor(4) as pool:
        results = pool.map(abs, range(8), buffersize=2)
        end = time.monotonic() + WAIT
        while pool.stats()["performed"] < 2 or pool.stats()["busy"]:
            assert time.monotonic() < end
        held = [pool.submit(time.sleep, 1) for _ in range(pool.stats()["workers"])]
        begin = time.monotonic()
        assert list(results) == list(range(8))
        assert time.monotonic() - begin < 0.9
        for future in held:
            future.result(WAIT)


# ---- futures --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("switching")
def test_a_future_is_looked_at_while_it_is_cancelled() -> None:
    with InterpreterPoolExecutor(1, cancel_running=True) as pool:
        for _ in range(100):
            future = pool.submit(tasks.spin)
            stop = threading.Event()

            def look(future: Future[Any] = future, stop: threading.Event = stop) -> None:
                while not stop.is_set():
                    repr(future)

            threads = [start(look) for _ in range(2)]
            while not future.running():
                pass
            assert future.cancel()
            stop.set()
            for thread in threads:
                thread.result(WAIT)
            assert future.cancelled() and future.done()


def test_callbacks_that_wait_for_other_calls(pool: InterpreterPoolExecutor) -> None:
    told: list[Any] = []
    one = pool.submit(time.sleep, 0.1)
    two = pool.submit(time.sleep, 0.3)
    done = threading.Event()
    two.add_done_callback(lambda _: told.append("two"))

    def wait(_: Any) -> None:
        told.append(two.result(WAIT))
        told.append(pool.submit(abs, -3).result(WAIT))
        done.set()

    one.add_done_callback(wait)
    assert done.wait(WAIT)
    assert told == ["two", None, 3]


def test_a_callback_that_waits_for_the_caller(pool: InterpreterPoolExecutor) -> None:
    """Meanwhile the caller's results do not wait for the thread that calls callbacks."""
    lock, entered = threading.Lock(), threading.Event()
    slow = pool.submit(time.sleep, 0.2)

    def wait(_: Any) -> None:
        entered.set()
        with lock:
            pass

    with lock:
        slow.add_done_callback(wait)
        assert entered.wait(WAIT)
        with pytest.raises(ValueError, match="invalid literal"):
            pool.submit(int, "x").result(WAIT)
        assert pool.submit(fraction, 1).result(WAIT) == fraction(1)


def test_a_future_whose_lock_the_caller_has(pool: InterpreterPoolExecutor) -> None:
    """A finalizer or a signal's handler may run in the middle of add_done_callback()."""
    called = threading.Event()
    one: Any = pool.submit(time.sleep, 0.1)
    with one._condition:  # as in add_done_callback()
        for _ in range(20):  # whoever waits for these also gets that one
            pool.submit(time.sleep, 0.02).result(WAIT)
        assert not one._done_callbacks and one._state != "FINISHED"
        one._done_callbacks.append(lambda _: called.set())
    assert called.wait(WAIT)


def wait_for_its_interpreter() -> None:
    """Until that of a worker that was given up is gone, too."""
    end = time.monotonic() + WAIT
    while len(list_all()) > 1:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("when", ["before the end", "after it"])
def test_a_worker_that_is_given_up_is_not_waited_for(when: str) -> None:
    pool = InterpreterPoolExecutor(1)
    future = pool.submit(tasks.sleep, 3, timeout=0.1)
    if when == "after it":
        pool.shutdown(wait=False)
    with pytest.raises(TimeoutError):
        future.result(WAIT)
    begin = time.monotonic()
    pool.shutdown()
    assert time.monotonic() - begin < 1.5
    wait_for_its_interpreter()


def test_many_time_outs(pool: InterpreterPoolExecutor) -> None:
    """What is done is not looked at any more."""

    def submit(count: int) -> float:
        begin = time.process_time()
        for future in [pool.submit(abs, -1, timeout=60) for _ in range(count)]:
            assert future.result(WAIT) == 1
        return time.process_time() - begin

    submit(100)
    assert submit(8000) < 16 * submit(1000) + 0.5


def import_package(folder: str) -> list[str]:
    sys.path.insert(0, folder)
    return list(importlib.import_module("subi_half_there").__all__)


def interrupt(number: int) -> None:
    (interp,) = (each for each in list_all() if each.id == number)
    interp.interrupt()


@pytest.mark.parametrize("how", ["cancel", "interrupt a map"])
def test_an_import_is_interrupted(tmp_path: pathlib.Path, how: str) -> None:
    """The next call does not meet the parts of a package whose import did not come to its end."""
    begun, goes_on = tmp_path / "begun", tmp_path / "goes on"
    package = tmp_path / "subi_half_there"
    package.mkdir()
    (package / "part.py").write_text("__all__ = ['x']\nx = 1\n")
    (package / "__init__.py").write_text(
        "import pathlib\n"
        "from .part import *\n"
        f"pathlib.Path({str(begun)!r}).touch()\n"
        f"while not pathlib.Path({str(goes_on)!r}).exists(): pass\n"
        "__all__ = part.__all__\n"  # it is the import of part that binds this name
    )
    with InterpreterPoolExecutor(1, cancel_running=how == "cancel") as pool:
        worker = pool.submit(tasks.where).result(WAIT)
        first, *others = (
            [pool.submit(import_package, str(tmp_path)) for _ in range(3)]
            if how == "cancel"
            else [pool.map(import_package, [str(tmp_path)] * 3, chunksize=3)]
        )
        while not begun.exists():
            time.sleep(0.001)
        begun.unlink()
        if isinstance(first, Future):
            assert first.cancel()
        else:
            interrupt(worker)
        while not begun.exists():  # once more, by who comes next
            time.sleep(0.001)
        goes_on.touch()
        if isinstance(first, Future):
            assert [each.result(WAIT) for each in others] == [["x"], ["x"]]
        else:
            with pytest.raises(KeyboardInterrupt):
                next(first)
        assert pool.submit(tasks.where).result(WAIT) != worker


def test_a_worker_that_is_interrupted_in_no_import_stays() -> None:
    with InterpreterPoolExecutor(1) as pool:
        pool.submit(exec, "import sys; sys.kept = 7").result(WAIT)
        spinning = pool.submit(exec, "while True: pass", timeout=0.1)
        with pytest.raises(TimeoutError):
            spinning.result(WAIT)
        if pool.stats()["given_up"] == 0:  # on a machine that is busy it may take too long
            assert pool.submit(eval, "__import__('sys').kept").result(WAIT) == 7


def tell_slowly() -> None:
    class Slow(Exception):
        def __str__(self) -> str:
            end = time.monotonic() + 0.1
            while time.monotonic() < end:
                pass
            sys.telling = "told"  # type: ignore[attr-defined]
            return "slow"

    sys.telling = "begun"  # type: ignore[attr-defined]
    try:
        while True:
            pass
    except KeyboardInterrupt:
        raise Slow from None


def test_what_tells_of_an_interruption_is_not_interrupted() -> None:
    with InterpreterPoolExecutor(1) as pool:
        pool.submit(fraction, 1).result(WAIT)  # imports this module
        with pytest.raises(TimeoutError):
            pool.submit(tell_slowly, timeout=0.1).result(WAIT)
        if pool.stats()["given_up"] == 0:
            assert pool.submit(eval, "__import__('sys').telling").result(WAIT) == "told"


def test_what_is_sent_by_value_keeps_its_state() -> None:
    def count(n: int, seen: list[int] = []) -> int:  # noqa: B006
        seen.append(n)
        return len(seen)

    with InterpreterPoolExecutor(1) as pool:
        assert [pool.submit(count, 1).result(WAIT) for _ in range(3)] == [1, 2, 3]


def test_what_is_sent_is_free_when_it_is_done(pool: InterpreterPoolExecutor) -> None:
    memory = bytearray(1000)
    future = pool.submit(len, memoryview(memory))
    assert future.result(WAIT) == 1000
    pool.submit(int).result(WAIT)
    end = time.monotonic() + WAIT
    while True:
        try:
            memory.append(1)
        except BufferError:
            assert time.monotonic() < end
        else:
            break


@pytest.mark.parametrize("needed", ["at once", "later"])
def test_a_thread_cannot_be_started_once(
    monkeypatch: pytest.MonkeyPatch,
    needed: str,
) -> None:
    """The one that completes futures, which the first worker starts if it is not needed at once."""
    if needed == "later" and sys.version_info[:2] == (3, 12):
        pytest.skip("there it is started at once")
    original = threading.Thread.start

    def fail(self: threading.Thread) -> None:
        if self.name.endswith("_results"):
            monkeypatch.setattr(threading.Thread, "start", original)
            raise RuntimeError("can't start new thread")
        original(self)

    pool = InterpreterPoolExecutor(1)
    monkeypatch.setattr(threading.Thread, "start", fail)
    called = threading.Event()
    if needed == "at once":
        with pytest.raises(RuntimeError, match="can't start new thread"):
            pool.submit(abs, -1, timeout=WAIT)
        pool.submit(abs, -2).add_done_callback(lambda _: called.set())
        assert called.wait(WAIT)
    else:
        pool.submit(abs, -1).add_done_callback(lambda _: called.set())
        assert called.wait(WAIT)
        with pytest.raises(BrokenInterpreterPool, match="can't start new thread"):
            while True:
                pool.submit(abs, -2).result(WAIT)
    pool.shutdown()


def test_the_first_thread_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call is not performed later."""

    def fail(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    recv, send = create_channel()
    with InterpreterPoolExecutor(1) as pool:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", fail)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                pool.submit(tasks.send, send, 1)
        assert pool.submit(tasks.send, send, 2).result(WAIT) is None
    assert recv.recv(timeout=WAIT) == 2
    assert recv.recv_nowait(None) is None


@not_under_asan("its allocator does not survive a fork beside other threads")
def test_the_child_of_a_fork_asks_a_worker() -> None:
    run_script("""
        import os, threading, warnings
        import subinterpreters as si
        warnings.simplefilter("ignore")
        pool = si.InterpreterPoolExecutor(1)
        recv, send = si.create_channel()
        held = pool.submit(recv.recv)
        pid = os.fork()
        if pid == 0:
            try:
                held.result(1)
            except si.InterpreterError as error:
                os._exit(7 if "forked" in str(error) else 8)
            os._exit(9)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        send.send(1)
        assert held.result(10) == 1
        pool.shutdown()
    """)
