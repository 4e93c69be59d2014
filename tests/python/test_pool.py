# SPDX-License-Identifier: MIT
"""InterpreterPoolExecutor: what is promised of it."""

import asyncio
import concurrent.futures
import gc
import itertools
import logging
import math
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError, as_completed, wait
from typing import Any

import pool_tasks as tasks
import pytest
from conftest import whatever_is_open
from support import KINDS, LOOP_KINDS, WAIT, Unsendable, start

from subinterpreters import (
    BrokenInterpreterPool,
    ExecutionFailed,
    InterpreterPoolExecutor,
    NotShareableError,
    create_channel,
    list_all,
)

SWITCH_INTERVAL = sys.getswitchinterval()
SOON = 5  # seconds in which what is said to happen "soon" does, on a busy machine


class Gate:
    """What workers wait at."""

    def __init__(self) -> None:
        self.started, self._started = create_channel()
        self._go, self.go = create_channel()

    def submit(self, pool: InterpreterPoolExecutor, **kwargs: Any) -> Any:
        return pool.submit(tasks.wait_at, self._started, self._go, **kwargs)

    def occupy(self, pool: InterpreterPoolExecutor, workers: int) -> list[Any]:
        """Have that many workers wait, and return when they do."""
        futures = [self.submit(pool) for _ in range(workers)]
        for _ in range(workers):
            self.started.recv(timeout=WAIT)
        return futures

    def open(self, times: int) -> None:
        for number in range(times):
            self.go.send(number)


@pytest.fixture(autouse=True)
def nothing_left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    """In place of that of all tests: a worker may take a moment to let go of what it has performed."""
    before = whatever_is_open()
    failures = request.session.testsfailed
    yield

    def left() -> set[str]:
        gc.collect()
        return whatever_is_open() - before

    assert request.session.testsfailed > failures or soon(lambda: not left()), f"left: {left()}"


class Log(logging.Filter):
    """What would be logged, as text: pytest would keep the records, and so the frames of tracebacks."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.levels: list[int] = []

    def filter(self, record: logging.LogRecord) -> bool:
        self.text += logging.Formatter().format(record)
        self.levels.append(record.levelno)
        return False


@pytest.fixture(autouse=True)
def log(nothing_left_open: None) -> Iterator[Log]:
    logger, log = logging.getLogger("concurrent.futures"), Log()
    logger.addFilter(log)
    yield log
    logger.removeFilter(log)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    vars(gate).clear()  # pytest keeps it for longer than the test


@pytest.fixture(scope="module")
def pool() -> Iterator[InterpreterPoolExecutor]:
    """One with two workers, which are there: tests look at what they leave open."""
    with InterpreterPoolExecutor(2) as pool:
        gate = Gate()
        futures = gate.occupy(pool, 2)
        gate.open(2)
        wait(futures, timeout=WAIT)
        del futures, gate
        yield pool


def soon(condition: Any) -> bool:
    end = time.monotonic() + SOON
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


# ---- submit ---------------------------------------------------------------------------------------


def test_submit(pool: InterpreterPoolExecutor) -> None:
    future = pool.submit(tasks.add, 1, b=2)
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(WAIT) == 3
    assert future.done() and not future.running() and not future.cancelled()
    assert future.exception() is None


@pytest.mark.parametrize("value", [(), (1,), (1, 2), None, {"a": [1]}, [()], "", b"x" * 100_000])
def test_results_are_what_was_returned(pool: InterpreterPoolExecutor, value: Any) -> None:
    assert pool.submit(tasks.echo, value).result(WAIT) == ((value,), {})


def test_names_of_keywords_are_free(pool: InterpreterPoolExecutor) -> None:
    assert pool.submit(tasks.echo, self=1, fn=2, args=3).result(WAIT) == (
        (),
        {"self": 1, "fn": 2, "args": 3},
    )


def test_workers_are_interpreters(pool: InterpreterPoolExecutor) -> None:
    ids = set(pool.map(lambda _: __import__("subinterpreters").get_current().id, range(20)))
    assert ids <= {each.id for each in list_all()} and 0 not in ids
    assert 1 <= len(ids) <= 2


def test_two_workers_run_at_the_same_time(pool: InterpreterPoolExecutor, gate: Gate) -> None:
    futures = gate.occupy(pool, 2)
    assert all(future.running() and not future.done() for future in futures)
    third = pool.submit(int)
    assert not third.running()
    gate.open(2)
    assert sorted(future.result(WAIT) for future in futures) == [0, 1]
    assert third.result(WAIT) == 0


def test_an_idle_worker_is_used_again() -> None:
    with InterpreterPoolExecutor(4) as pool:
        assert len({pool.submit(tasks.where).result(WAIT) for _ in range(10)}) == 1


@pytest.mark.parametrize(
    "error", [ValueError, KeyError, OSError, ZeroDivisionError, KeyboardInterrupt, MemoryError]
)
def test_exceptions(pool: InterpreterPoolExecutor, error: type[BaseException]) -> None:
    future = pool.submit(tasks.fail, error, 7)
    raised = future.exception(WAIT)
    assert isinstance(raised, error) and raised.args == (7,)
    assert "in fail" in str(raised.__cause__) and "pool_tasks.py" in str(raised.__cause__)
    with pytest.raises(error):
        future.result()
    assert pool.submit(int).result(WAIT) == 0


def test_exceptions_are_execution_failed_too(pool: InterpreterPoolExecutor) -> None:
    with pytest.raises(ExecutionFailed) as caught:
        pool.submit(tasks.fail, LookupError, "no").result(WAIT)
    assert isinstance(caught.value, LookupError)
    assert caught.value.excinfo.type.__name__ == "LookupError"


def test_no_memory_for_a_result(pool: InterpreterPoolExecutor) -> None:
    with pytest.raises(MemoryError):
        pool.submit(tasks.take_memory).result(WAIT)
    assert pool.submit(int).result(WAIT) == 0


@pytest.mark.parametrize("leave", [tasks.leave, tasks.leave_thread])
def test_system_exit_is_an_exception(pool: InterpreterPoolExecutor, leave: Any) -> None:
    for _ in range(4):  # more than there are workers
        with pytest.raises(SystemExit):
            pool.submit(leave).result(WAIT)
    assert pool.submit(int).result(WAIT) == 0


def test_arguments_that_cannot_be_sent(pool: InterpreterPoolExecutor) -> None:
    future = pool.submit(id, threading.Lock())
    assert isinstance(future.exception(WAIT), NotShareableError)
    with pytest.raises(NotShareableError):
        pool.submit(id, Unsendable(ValueError)).result(WAIT)
    with pytest.raises(NotShareableError):
        list(pool.map(id, [threading.Lock()]))
    assert pool.submit(int).result(WAIT) == 0


def test_results_that_cannot_be_sent(pool: InterpreterPoolExecutor) -> None:
    with pytest.raises(NotShareableError, match="lock"):
        pool.submit(threading.Lock).result(WAIT)
    assert pool.submit(int).result(WAIT) == 0


def test_a_future_does_not_keep_what_it_was_given(pool: InterpreterPoolExecutor) -> None:
    class Mine(list[int]):
        def __reduce__(self) -> Any:
            return list, ()

    mine = Mine()
    gone = weakref.ref(mine)
    future = pool.submit(len, mine)
    assert future.result(WAIT) == 0
    del mine
    gc.collect()
    assert gone() is None


def test_a_hundred_thousand_in_a_burst(pool: InterpreterPoolExecutor) -> None:
    futures = [pool.submit(abs, n) for n in range(100_000)]
    assert sum(future.result(WAIT) for future in futures) == sum(range(100_000))


def test_submit_from_many_threads(pool: InterpreterPoolExecutor) -> None:
    def work(first: int) -> int:
        return sum(pool.submit(abs, n).result(WAIT) for n in range(first, first + 300))

    threads = [start(work, 300 * n) for n in range(8)]
    assert sum(each.result(WAIT) for each in threads) == sum(range(2400))


def test_many_threads_wait_for_one_future(pool: InterpreterPoolExecutor, gate: Gate) -> None:
    [future] = gate.occupy(pool, 1)
    waiting = [start(future.result, WAIT) for _ in range(5)]
    with pytest.raises(TimeoutError):
        future.result(0.01)
    gate.open(1)
    assert [each.result(WAIT) for each in waiting] == [0] * 5


# ---- wrong arguments ------------------------------------------------------------------------------

WRONG = [
    ({"max_workers": 0}, ValueError, "max_workers must be greater than 0"),
    ({"max_workers": -1}, ValueError, "max_workers must be greater than 0"),
    ({"max_workers": "2"}, TypeError, "str"),
    ({"initializer": 1}, TypeError, "initializer must be a callable"),
    ({"initializer": int, "initargs": 1}, TypeError, "not iterable|initargs"),
    ({"max_tasks_per_child": 0}, ValueError, "max_tasks_per_child must be >= 1"),
    ({"max_tasks_per_child": 1.5}, TypeError, "max_tasks_per_child must be an integer"),
    ({"isolation": "none"}, ValueError, "isolation"),
    ({"isolation": 1}, TypeError, "isolation"),
    ({"name": 1}, TypeError, "name"),
    ({"nonsense": 1}, TypeError, "nonsense"),
]


@pytest.mark.parametrize(("kwargs", "error", "message"), WRONG)
def test_wrong_arguments(kwargs: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        InterpreterPoolExecutor(**kwargs)


def test_wrong_arguments_of_submit_and_map(pool: InterpreterPoolExecutor) -> None:
    with pytest.raises(TypeError):
        pool.submit()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        pool.submit(fn=int)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        pool.map(int, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="chunksize must be >= 1"):
        pool.map(int, [], chunksize=0)
    with pytest.raises(TypeError, match="buffersize must be an integer or None"):
        pool.map(int, [], buffersize=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="buffersize must be None or > 0"):
        pool.map(int, [], buffersize=0)
    with pytest.raises((TypeError, NotShareableError)):
        pool.submit(1).result(WAIT)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout"):
        pool.submit(tasks.square, 1, timeout=-1)
    assert pool.submit(int).result(WAIT) == 0


# ---- map ------------------------------------------------------------------------------------------

CHUNKSIZES = [None, 1, 3, 1000]


@pytest.mark.parametrize("chunksize", CHUNKSIZES)
@pytest.mark.parametrize("count", [0, 1, 2, 10, 1001])
def test_map(pool: InterpreterPoolExecutor, chunksize: Any, count: int) -> None:
    numbers = range(count)
    results = pool.map(tasks.add, numbers, itertools.count(5), chunksize=chunksize)
    assert list(results) == [n + n + 5 for n in numbers]


@pytest.mark.parametrize("chunksize", CHUNKSIZES)
@pytest.mark.parametrize("bad", [0, 5, 19])
def test_map_gives_what_comes_before_an_exception(
    pool: InterpreterPoolExecutor, chunksize: Any, bad: int
) -> None:
    results = pool.map(tasks.fail_at, [bad] * 20, range(20), chunksize=chunksize)
    assert list(itertools.islice(results, bad)) == list(range(bad))
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []  # as that of concurrent.futures


def test_map_keeps_the_order(pool: InterpreterPoolExecutor) -> None:
    delays = [0.1, 0, 0.05, 0]
    results = pool.map(tasks.sleep_and_return, delays, range(4), chunksize=1)
    assert list(results) == [0, 1, 2, 3]


def test_map_without_iterables(pool: InterpreterPoolExecutor) -> None:
    assert list(pool.map(int)) == []


def test_map_begins_at_once(pool: InterpreterPoolExecutor, gate: Gate) -> None:
    results = pool.map(tasks.wait_at, [gate._started], [gate._go])
    gate.started.recv(timeout=WAIT)
    gate.open(1)
    assert list(results) == [0]


@pytest.mark.parametrize("chunksize", CHUNKSIZES)
def test_map_in_time(pool: InterpreterPoolExecutor, gate: Gate, chunksize: Any) -> None:
    held = gate.occupy(pool, 2)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        list(pool.map(abs, range(10), timeout=0.05, chunksize=chunksize))
    assert 0.05 <= time.monotonic() - began < SOON
    gate.open(2)
    wait(held, timeout=WAIT)


@pytest.mark.parametrize("chunksize", [None, 1])
@pytest.mark.parametrize("buffersize", [1, 2, 5])
def test_map_with_a_buffer_reads_no_more(
    pool: InterpreterPoolExecutor, buffersize: int, chunksize: Any
) -> None:
    numbers = itertools.count()
    results = pool.map(tasks.square, numbers, buffersize=buffersize, chunksize=chunksize)
    assert next(numbers) <= buffersize * (chunksize or 1)
    assert next(next(results) for _ in range(3)) == 0
    results.close()  # type: ignore[attr-defined]
    assert next(numbers) < 20


def test_map_that_is_closed_cancels_the_rest(pool: InterpreterPoolExecutor, gate: Gate) -> None:
    held = gate.occupy(pool, 2)
    results = pool.map(tasks.wait_at, [gate._started] * 5, [gate._go] * 5, chunksize=1)
    with pytest.raises(TimeoutError):
        next(pool.map(int, [1], timeout=0.01))
    results.close()  # type: ignore[attr-defined]
    gate.open(2)
    wait(held, timeout=WAIT)
    assert pool.submit(int).result(WAIT) == 0
    assert len(gate.started) <= 1  # of the first, which is taken only when next() is called


def test_map_task_timeout(gate: Gate) -> None:
    with InterpreterPoolExecutor(1) as pool:
        results = pool.map(tasks.wait_at, [gate._started], [gate._go], task_timeout=0.1)
        with pytest.raises(TimeoutError):
            next(results)
        assert pool.submit(int).result(WAIT) == 0


# ---- futures --------------------------------------------------------------------------------------


def test_as_completed_and_wait(pool: InterpreterPoolExecutor, gate: Gate) -> None:
    [held] = gate.occupy(pool, 1)
    quick = [pool.submit(tasks.square, n) for n in range(5)]
    done, pending = wait([held, *quick], return_when="FIRST_COMPLETED", timeout=WAIT)
    assert done and held in pending
    assert {future.result() for future in as_completed(quick, WAIT)} == {0, 1, 4, 9, 16}
    with pytest.raises(TimeoutError):
        list(as_completed([held], timeout=0.01))
    gate.open(1)
    assert wait([held], timeout=WAIT) == ({held}, set())


def test_callbacks(pool: InterpreterPoolExecutor, gate: Gate, log: Log) -> None:
    called: list[Any] = []

    def bad(future: Any) -> None:
        raise ValueError("in a callback")

    [future] = gate.occupy(pool, 1)
    for callback in (called.append, bad, called.append):
        future.add_done_callback(callback)
    gate.open(1)
    assert future.result(WAIT) == 0
    assert soon(lambda: called == [future, future])
    future.add_done_callback(called.append)
    assert called == [future] * 3
    assert "in a callback" in log.text


@pytest.mark.parametrize("most", [1, 5])
@pytest.mark.parametrize("waited_before", [False, True])
def test_a_result_that_nobody_waits_for(waited_before: bool, most: int, gate: Gate) -> None:
    """It gets to its future whatever its worker does next, also where results are waited for at other times."""
    with InterpreterPoolExecutor(1, max_tasks_per_child=most) as pool:

        def submit() -> Any:
            if waited_before:
                assert pool.submit(tasks.square, 2).result(WAIT) == 4
            told = threading.Event()
            pool.submit(tasks.square, 3).add_done_callback(lambda _: told.set())
            return told

        assert submit().wait(WAIT)  # its worker waits
        told = submit()
        held = gate.submit(pool)
        assert told.wait(WAIT)  # its worker does something else
        gate.open(1)
        assert held.result(WAIT) == 0
        assert submit().wait(WAIT)  # its worker may be replaced by another one
        told = submit()
    assert told.wait(WAIT)  # its worker ends


@pytest.mark.skipif(sys.version_info[:2] == (3, 12), reason="it waits for the thread of results")
def test_submit_does_not_wait_for_the_worker() -> None:
    """Who joins the worker's thread does, if it has not begun."""
    pool = InterpreterPoolExecutor(1)
    try:
        sys.setswitchinterval(WAIT)  # nobody else gets the GIL of a thread that does not wait
        future = pool.submit(tasks.square, 3)
        [thread] = pool._threads
        assert thread.ident is None
    finally:
        sys.setswitchinterval(SWITCH_INTERVAL)
    thread.join(0)
    pool.shutdown(wait=False)
    thread.join()
    assert not thread.is_alive()
    assert future.result(WAIT) == 9


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_callbacks_that_leave(pool: InterpreterPoolExecutor) -> None:
    future = pool.submit(tasks.sleep_and_return, 0.05, 3)
    future.add_done_callback(lambda _: tasks.leave())
    assert future.result(WAIT) == 3
    assert [pool.submit(tasks.square, n).result(WAIT) for n in range(10)][-1] == 81


def test_callbacks_that_submit(pool: InterpreterPoolExecutor) -> None:
    done = threading.Event()
    left = [200]

    def again(future: Any) -> None:
        left[0] -= 1
        if left[0]:
            pool.submit(int).add_done_callback(again)
        else:
            done.set()

    pool.submit(int).add_done_callback(again)
    assert done.wait(WAIT)


def test_callbacks_that_wait(pool: InterpreterPoolExecutor) -> None:
    """A callback that waits for another task of its pool gets it, or an exception; it does not hang."""
    outcome: list[Any] = []
    done = threading.Event()

    def callback(future: Any) -> None:
        try:
            outcome.append(pool.submit(tasks.square, 3).result(WAIT))
        except RuntimeError as error:
            outcome.append(error)
        done.set()

    began = time.monotonic()
    pool.submit(int).add_done_callback(callback)
    assert done.wait(WAIT) and time.monotonic() - began < SOON
    assert outcome == [9] or isinstance(outcome[0], RuntimeError), outcome


def test_cancel_what_waits(pool: InterpreterPoolExecutor, gate: Gate) -> None:
    held = gate.occupy(pool, 2)
    called: list[Any] = []
    waiting = [gate.submit(pool) for _ in range(5)]
    waiting[0].add_done_callback(called.append)
    assert all(future.cancel() and future.cancel() for future in waiting)
    assert all(future.cancelled() and future.done() for future in waiting)
    assert called == [waiting[0]]
    with pytest.raises(CancelledError):
        waiting[1].result(WAIT)
    assert wait(waiting, timeout=WAIT)[1] == set()
    gate.open(2)
    wait(held, timeout=WAIT)
    assert pool.submit(int).result(WAIT) == 0
    assert len(gate.started) == 0


def test_cancel_what_runs_or_is_done(pool: InterpreterPoolExecutor, gate: Gate) -> None:
    [future] = gate.occupy(pool, 1)
    assert not future.cancel() and future.running()
    gate.open(1)
    assert future.result(WAIT) == 0
    assert not future.cancel() and not future.cancelled()


def test_cancel_running(gate: Gate) -> None:
    with InterpreterPoolExecutor(1, cancel_running=True) as pool:
        for _ in range(3):
            [future] = gate.occupy(pool, 1)
            assert future.cancel()
            with pytest.raises(CancelledError):
                future.result(WAIT)
            assert future.cancelled()
            assert pool.submit(int).result(WAIT) == 0
        spinning = pool.submit(tasks.spin)
        assert soon(spinning.running)
        assert spinning.cancel()
        assert pool.submit(int).result(WAIT) == 0


# ---- time-outs of tasks ---------------------------------------------------------------------------


def test_a_task_in_time(pool: InterpreterPoolExecutor) -> None:
    assert pool.submit(tasks.square, 3, timeout=WAIT).result(WAIT) == 9


def test_a_task_that_takes_too_long_is_interrupted() -> None:
    with InterpreterPoolExecutor(1) as pool:
        before = pool.submit(tasks.where).result(WAIT)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            pool.submit(tasks.spin, timeout=0.1).result(WAIT)
        assert 0.1 <= time.monotonic() - began < SOON
        assert pool.submit(tasks.where).result(WAIT) == before


def test_a_worker_that_cannot_be_interrupted_is_replaced() -> None:
    with InterpreterPoolExecutor(1) as pool:
        before = pool.submit(tasks.where).result(WAIT)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            pool.submit(tasks.sleep, 4, timeout=0.1).result(WAIT)
        assert pool.submit(tasks.where).result(WAIT) != before
        assert time.monotonic() - began < 4


def test_timeout_is_the_tasks_own_if_it_takes_one(pool: InterpreterPoolExecutor) -> None:
    assert pool.submit(tasks.echo, timeout=7).result(WAIT) == ((), {"timeout": 7})


# ---- initializer ----------------------------------------------------------------------------------


def test_initializer() -> None:
    with InterpreterPoolExecutor(1, initializer=tasks.initialize, initargs=(1, "two")) as pool:
        assert pool.submit(tasks.initialized).result(WAIT) == [1, "two"]
        assert pool.submit(tasks.initialized).result(WAIT) == [1, "two"]  # once


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_initializer_that_fails(error: type[BaseException], gate: Gate, log: Log) -> None:
    pool = InterpreterPoolExecutor(2, initializer=tasks.fail, initargs=(error, "as told"))
    futures = []
    with pytest.raises(BrokenInterpreterPool) as caught:
        for _ in range(1000):
            futures.append(gate.submit(pool))
            time.sleep(0.01)
    assert isinstance(caught.value.__cause__, error)
    assert isinstance(caught.value, concurrent.futures.BrokenExecutor)
    for future in futures:
        with pytest.raises(BrokenInterpreterPool) as caught:
            future.result(WAIT)
        assert isinstance(caught.value.__cause__, error)
    with pytest.raises(BrokenInterpreterPool):
        pool.submit(int)
    with pytest.raises(BrokenInterpreterPool):
        list(pool.map(int, [1]))
    pool.shutdown()
    assert "as told" in log.text
    assert log.levels[0] == logging.CRITICAL


def test_initializer_that_cannot_be_sent() -> None:
    pool = InterpreterPoolExecutor(1, initializer=id, initargs=(threading.Lock(),))
    with pool, pytest.raises(BrokenInterpreterPool):
        pool.submit(int).result(WAIT)


# ---- workers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 3])
def test_max_tasks_per_child(most: int) -> None:
    with InterpreterPoolExecutor(1, max_tasks_per_child=most) as pool:
        ids = [pool.submit(tasks.where).result(WAIT) for _ in range(7)]
        assert len(set(ids)) == math.ceil(7 / most)
        assert ids == sorted(ids)
        pool.submit(tasks.initialize, 1).result(WAIT)
        if most == 1:  # as new
            assert pool.submit(tasks.initialized).result(WAIT) == []
        futures = [pool.submit(tasks.square, n) for n in range(20)]
        assert [future.result(WAIT) for future in futures] == [n * n for n in range(20)]


def test_initializer_of_each_child() -> None:
    with InterpreterPoolExecutor(
        1, initializer=tasks.initialize, initargs=(1,), max_tasks_per_child=1
    ) as pool:
        assert [pool.submit(tasks.initialized).result(WAIT) for _ in range(3)] == [[1]] * 3


def test_names_of_threads() -> None:
    with InterpreterPoolExecutor(1, thread_name_prefix="mine") as pool:
        pool.submit(int).result(WAIT)
        assert "mine_0" in {thread.name for thread in threading.enumerate()}
    with InterpreterPoolExecutor(1) as pool:
        pool.submit(int).result(WAIT)
        names = {thread.name for thread in threading.enumerate()}
        assert any(name.startswith("InterpreterPoolExecutor-") for name in names), names


def test_name_and_stats() -> None:
    with InterpreterPoolExecutor(1, name="mine") as pool:
        pool.submit(int).result(WAIT)
        assert "mine" in repr(pool)
        assert any("mine" in each.name for each in list_all())
        stats = pool.stats()
        assert isinstance(stats, dict) and stats


@pytest.mark.parametrize("kind", [*KINDS, "auto", None])
def test_kinds(kind: Any) -> None:
    with InterpreterPoolExecutor(1, isolation=kind) as pool:
        got = pool.submit(tasks.isolation).result(WAIT)
        assert got == (KINDS[0] if kind is None else got if kind == "auto" else kind)
        assert got in KINDS
        assert list(pool.map(tasks.square, range(5))) == [0, 1, 4, 9, 16]


def test_default_number_of_workers() -> None:
    with InterpreterPoolExecutor() as pool:
        assert list(pool.map(tasks.square, range(50))) == [n * n for n in range(50)]


def test_a_pool_in_a_worker() -> None:
    with InterpreterPoolExecutor(1) as pool:
        assert pool.submit(tasks.count_in_pool, [1, 2, 3]).result(WAIT) == 14


def test_a_pool_is_not_sent(pool: InterpreterPoolExecutor) -> None:
    with pytest.raises((TypeError, RuntimeError)):
        pool.submit(tasks.echo, pool).result(WAIT)
    with pytest.raises((TypeError, RuntimeError)):
        pool.submit(pool.submit, int).result(WAIT)
    future = pool.submit(int)
    with pytest.raises((TypeError, RuntimeError)):
        pool.submit(future.result).result(WAIT)
    assert future.result(WAIT) == 0


# ---- shutdown -------------------------------------------------------------------------------------


def test_shutdown() -> None:
    pool = InterpreterPoolExecutor(2)
    futures = [pool.submit(tasks.sleep_and_return, 0.02, n) for n in range(10)]
    pool.shutdown()
    assert all(future.done() for future in futures)
    assert [future.result() for future in futures] == list(range(10))
    pool.shutdown()
    pool.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.submit(int)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        pool.map(int, [1])


def test_shutdown_of_one_that_was_not_used() -> None:
    InterpreterPoolExecutor(2).shutdown()
    with InterpreterPoolExecutor(2):
        pass


def test_shutdown_without_waiting(gate: Gate) -> None:
    pool = InterpreterPoolExecutor(1)
    [held] = gate.occupy(pool, 1)
    later = pool.submit(tasks.square, 3)
    pool.shutdown(wait=False)
    with pytest.raises(RuntimeError):
        pool.submit(int)
    assert not held.done() and not later.done()
    gate.open(1)
    assert held.result(WAIT) == 0 and later.result(WAIT) == 9
    pool.shutdown()


def test_shutdown_that_cancels(gate: Gate) -> None:
    pool = InterpreterPoolExecutor(1)
    [held] = gate.occupy(pool, 1)
    later = [pool.submit(int) for _ in range(5)]
    pool.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in later) and held.running()
    assert wait(later, timeout=WAIT)[1] == set()
    gate.open(1)
    pool.shutdown()
    assert held.result() == 0


def test_shutdown_that_cancels_what_runs(gate: Gate) -> None:
    pool = InterpreterPoolExecutor(1, cancel_running=True)
    [held] = gate.occupy(pool, 1)
    pool.shutdown(cancel_futures=True)
    assert held.cancelled()


def test_with_waits() -> None:
    with InterpreterPoolExecutor(1) as pool:
        future = pool.submit(tasks.sleep_and_return, 0.1, 5)
    assert future.done() and future.result() == 5


def test_shutdown_from_a_callback() -> None:
    for wait_for_it in (False, True):
        pool = InterpreterPoolExecutor(1)
        ended = threading.Event()

        def end(future: Any, pool: Any = pool, how: bool = wait_for_it, over: Any = ended) -> None:
            try:
                pool.shutdown(wait=how)
            finally:
                over.set()

        pool.submit(int).add_done_callback(end)
        assert ended.wait(WAIT)
        with pytest.raises(RuntimeError):
            pool.submit(int)
        start(pool.shutdown).result(WAIT)


def test_shutdown_from_several_threads(gate: Gate) -> None:
    pool = InterpreterPoolExecutor(1)
    gate.occupy(pool, 1)
    threads = [start(pool.shutdown) for _ in range(5)]
    gate.open(1)
    for each in threads:
        each.result(WAIT)


def test_workers_are_gone_after_shutdown() -> None:
    interpreters, threads = len(list_all()), threading.active_count()
    with InterpreterPoolExecutor(3) as pool:
        list(pool.map(tasks.square, range(30), chunksize=1))
        assert len(list_all()) > interpreters
    assert len(list_all()) == interpreters
    assert threading.active_count() == threads


def test_a_forgotten_pool_ends() -> None:
    interpreters, threads = len(list_all()), threading.active_count()
    pool = InterpreterPoolExecutor(2)
    gone = weakref.ref(pool)
    futures = [pool.submit(tasks.sleep_and_return, 0.01, n) for n in range(5)]
    del pool
    gc.collect()
    assert [future.result(WAIT) for future in futures] == list(range(5))
    del futures
    assert soon(lambda: gone() is None)
    assert soon(lambda: len(list_all()) == interpreters)
    assert soon(lambda: threading.active_count() == threads)


# ---- asyncio --------------------------------------------------------------------------------------


def test_asyncio(pool: InterpreterPoolExecutor) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        numbers = [loop.run_in_executor(pool, tasks.square, n) for n in range(20)]
        assert await asyncio.gather(*numbers) == [n * n for n in range(20)]
        with pytest.raises(LookupError):
            await loop.run_in_executor(pool, tasks.raise_error)
        assert await asyncio.wrap_future(pool.submit(int)) == 0

    asyncio.run(main())


@pytest.mark.skipif(not LOOP_KINDS, reason="no event loops beside another")
def test_asyncio_default_executor() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        default: Any = InterpreterPoolExecutor(1)
        try:
            loop.set_default_executor(default)
        except TypeError:  # asyncio wants a ThreadPoolExecutor there
            default.shutdown()
            raise
        return await loop.run_in_executor(None, tasks.where)

    assert asyncio.run(main()) != 0


def test_asyncio_cancel(gate: Gate) -> None:
    async def main(pool: InterpreterPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        waiting = loop.run_in_executor(pool, tasks.square, 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    with InterpreterPoolExecutor(1) as pool:
        [held] = gate.occupy(pool, 1)
        asyncio.run(main(pool))
        gate.open(1)
        assert held.result(WAIT) == 0


# ---- progress -------------------------------------------------------------------------------------


@pytest.mark.parametrize("buffersize", [None, 3])
def test_progress_is_told(pool: InterpreterPoolExecutor, buffersize: int | None) -> None:
    told: list[int] = []
    results = pool.map(tasks.square, range(50), buffersize=buffersize, progress=told.append)
    assert list(results) == [n * n for n in range(50)]
    assert sum(told) == 50 and min(told) > 0


def test_progress_of_later_calls_is_told_meanwhile(gate: Gate) -> None:
    """Also while the first one goes on."""
    with InterpreterPoolExecutor(2) as pool:
        told: list[int] = []

        def tell(count: int) -> None:
            told.append(count)
            if sum(told) == 3:
                gate.open(1)

        calls = [(tasks.wait_at, gate._started, gate._go), *[(abs, -n) for n in range(3)]]
        assert list(pool.map(tasks.apply, calls, progress=tell)) == [0, 0, 1, 2]
        assert sum(told) == 4


@pytest.mark.parametrize("name", ["tqdm", "rich"])
def test_progress_is_shown(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in {"tqdm", "rich"} - {name}:
        monkeypatch.setitem(sys.modules, other, None)
        monkeypatch.setitem(sys.modules, f"{other}.auto", None)
    with InterpreterPoolExecutor(1) as pool:
        assert list(pool.map(tasks.square, range(5), progress=True)) == [0, 1, 4, 9, 16]


def test_progress_is_not_shown_by_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tqdm", "tqdm.auto", "rich", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, None)
    with (
        InterpreterPoolExecutor(1) as pool,
        pytest.raises(ImportError, match="needs tqdm or rich"),
    ):
        pool.map(tasks.square, range(5), progress=True)
