# SPDX-License-Identifier: MIT
"""InterpreterPoolExecutor: calls that are spread over interpreters."""

from __future__ import annotations

import itertools
import operator
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, PENDING, RUNNING
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from subinterpreters import _calls, _progress, _workers
from subinterpreters._subinterpreters import (
    Interpreter,
    Task,
    _seconds,
    create,
)
from subinterpreters._workers import BrokenInterpreterPool, Workers

_T = TypeVar("_T")

if TYPE_CHECKING:
    Isolation: TypeAlias = Literal["own", "private", "shared", "auto"]

ISOLATIONS = ("own", "private", "shared", "auto")

# On 3.12 no thread can be started while the process is ending and what was submitted is performed.
_STARTS_LATE = sys.version_info[:2] != (3, 12)


class _Future(Future[_T]):
    """The future of a call. Whoever waits for it receives it from the worker."""

    _task: Task | None = None  # None: it could not be sent
    _interrupts = False  # whether cancel() interrupts it

    def cancel(self) -> bool:
        with self._condition:
            if self._state == FINISHED:
                return False
            if self._state in (CANCELLED, CANCELLED_AND_NOTIFIED):
                return True
        task = self._task
        if task is None:  # nobody performs it
            return super().cancel()
        if not task.cancel(self._interrupts):
            return self.cancelled()
        self._cancelled()
        return True

    def _cancelled(self) -> None:
        with self._condition:
            self._state = PENDING
        super().cancel()
        self.set_running_or_notify_cancel()

    def running(self) -> bool:
        with self._condition:
            task = self._task
            if self._state == PENDING and task is not None and task.is_running():
                self._state = RUNNING
            return self._state == RUNNING

    def _left(self, timeout: float | None) -> float | None:
        """Wait until it is about to be done; return what is left of the time."""
        task = self._task
        if task is None or self._state not in (PENDING, RUNNING):
            return timeout
        if timeout is None or timeout > threading.TIMEOUT_MAX:
            task.wait()
            return None
        end = time.monotonic() + timeout
        task.wait(max(timeout, 0))
        return max(end - time.monotonic(), 0)

    def result(self, timeout: float | None = None) -> _T:
        left = self._left(timeout)
        try:
            return super().result(left)
        finally:
            self = None  # type: ignore[assignment]  # noqa: PLW0642  # an exception leads to this frame

    def exception(self, timeout: float | None = None) -> BaseException | None:
        return super().exception(self._left(timeout))

    def __repr__(self) -> str:
        self.running()
        return super().__repr__()

    def __reduce__(self) -> Any:
        raise TypeError("a future belongs to the interpreter that has submitted its call")


_Future.__name__ = _Future.__qualname__ = "Future"  # in what is printed


class InterpreterPoolExecutor(ThreadPoolExecutor):  # asyncio's default executor has to be one
    """An executor whose workers are interpreters: calls run in parallel, in one process.

    It can stand wherever another executor of concurrent.futures can. The functions of a pool that is
    given up without shutdown() end as if that had been called, and so does a program.

    Args:
        max_workers: how many interpreters, at most; None is one for each processor that this process may
            use, and 32 at most. They are made when there is work for them.
        thread_name_prefix: what the names of threads and interpreters begin with.
        initializer: called once in each interpreter, before anything else.
        initargs: its arguments.
        isolation: as for create(). With "auto", a call that fails in an interpreter of kind "own" since it
            needs an extension module that cannot be imported there is done once more, from its beginning,
            in a private one, as are all workers from then on.
        max_tasks_per_child: so many calls are performed in one interpreter before another one takes its
            place; None is no limit.
        name: the same as thread_name_prefix, which wins.
        warm: whether all workers are made at once, in the background, and not when there is work for them.
        cancel_running: whether a future's cancel() interrupts a call that has begun, as interrupt()
            does. A worker that does not react in a second is replaced, as it is for a call that has had
            its time.

    Raises:
        ValueError: max_workers or max_tasks_per_child is less than 1; isolation is none.
        TypeError: initializer cannot be called, or a number is none.

    >>> from subinterpreters import InterpreterPoolExecutor
    >>> with InterpreterPoolExecutor(2) as pool:
    ...     pool.submit(pow, 2, 10).result(), list(pool.map(abs, [-1, -2]))
    (1024, [1, 2])
    """

    BROKEN: type[BrokenInterpreterPool] = BrokenInterpreterPool
    _counter = itertools.count()

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        isolation: Isolation | None = None,
        max_tasks_per_child: int | None = None,
        name: str = "",
        warm: bool = False,
        cancel_running: bool = False,
    ) -> None:
        if max_workers is None:
            max_workers = min(32, _processors())
        _positive("max_workers", max_workers, "be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer must be a callable, got {initializer!r}")
        if not isinstance(initargs, Iterable):
            raise TypeError(f"initargs must be a tuple, got {initargs!r}")
        initargs = tuple(initargs)
        if max_tasks_per_child is not None:
            _positive("max_tasks_per_child", max_tasks_per_child, "be >= 1")
        _text("name", name)
        _text("thread_name_prefix", thread_name_prefix)
        _check_isolation(isolation)
        self._max_workers = max_workers
        self._thread_name_prefix = (
            thread_name_prefix or name or f"InterpreterPoolExecutor-{next(self._counter)}"
        )
        # those that may be interrupted; None: none may be
        self._running: weakref.WeakSet[_Future[Any]] | None = (
            weakref.WeakSet() if cancel_running else None
        )

        def make(thread_name: str, private: bool) -> Interpreter:
            return create(isolation="private" if private else isolation, name=thread_name)

        def initialize(interp: Interpreter) -> None:
            if initializer is not None:
                interp._call_now(initializer, *initargs)

        self._workers = workers = Workers(
            max_workers,
            self._thread_name_prefix,
            make,
            initialize,
            min(max_tasks_per_child or 0, sys.maxsize),
            isolation == "auto",
        )
        self._pool = workers.pool
        workers.executor = weakref.ref(self, workers.close_abandoned)
        if warm:
            with workers.lock:
                workers.start(workers=max_workers)

    if not TYPE_CHECKING:  # the base class has these as attributes
        _threads = property(lambda self: set(self._workers.threads))
        _broken = property(lambda self: self._workers.broken)
        _shutdown = property(lambda self: self._workers.closed)

    def _check(self) -> None:
        if self._workers.process != os.getpid():
            raise RuntimeError(
                "cannot schedule new futures in a process that was forked from that of the pool"
            )
        if self._workers.broken is not None:
            raise self._workers.make_error()
        if _workers.is_ending():
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")
        if self._workers.closed:
            raise RuntimeError("cannot schedule new futures after shutdown")

    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]:
        """Let a worker call a function.

        Args:
            fn, args, kwargs: what Interpreter.call() can send. What is sent again and again is made only
                once in each worker, for as long as it is the same: its state stays, too.
            timeout: of the kwargs this is for the pool, unless fn has a parameter of that name: seconds
                after which the call is interrupted, from when it begins. The future then has a
                TimeoutError. A worker that does not react in a second is replaced.

        Returns:
            A future. It has NotShareableError if the call cannot be sent, and what Interpreter.call()
            raises.

        Raises:
            RuntimeError: the pool is shut down, or the process is ending.
            BrokenInterpreterPool: it is broken.
        """
        timeout = None
        if "timeout" in kwargs and not _calls._takes_timeout(fn):
            timeout = kwargs.pop("timeout")
            timeout = None if timeout is None else _seconds(timeout)
        return self._submit(fn, args, kwargs, timeout)

    def _submit(
        self, fn: Callable[..., _T], args: Any, kwargs: Any, timeout: float | None
    ) -> Future[_T]:
        self._check()
        first = self._workers.count() == 0
        if first:  # the worker makes its interpreter meanwhile
            with self._workers.lock:
                self._check()
                self._workers.start(completes=False, workers=1)
        future: _Future[_T] = _Future()
        if self._running is not None:
            future._interrupts = True
            self._running.add(future)
        try:  # without the lock: what is sent may have code that uses the pool
            task = self._pool.task(future, timeout, fn, args, kwargs)
        except Exception as error:  # noqa: BLE001
            future.set_exception(error)
            return future
        future._task = task
        with self._workers.lock:
            self._check()
            self._pool.send(task)
            interruptible = timeout is not None or self._running is not None
            self._workers.start(interruptible or not first or not _STARTS_LATE)
        return future

    def map(
        self,
        fn: Callable[..., _T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        buffersize: int | None = None,
        task_timeout: float | None = None,
        progress: Any = None,
    ) -> Iterator[_T]:
        """Let workers call a function with each item; the results come in order.

        Args:
            fn: what is called.
            iterables: their items, one of each, are its arguments.
            timeout: seconds from now on in which all results must have been had.
            chunksize: so many calls are one worker's at a time. None: workers take calls one by one,
                those that take no time a few at a time; so it need not be chosen.
            buffersize: so many items are taken in advance of the results, at most. None: all, now.
            task_timeout: seconds after which a call is interrupted, from when it begins.
            progress: shows how many calls have ended. True: tqdm or rich, whichever is installed; or
                a function that is called with the number that have ended since last time.

        Returns:
            An iterator. It raises what a call has raised, and then ends. When it is closed or thrown away,
            calls that have not begun will not be.

        Raises:
            ValueError: chunksize or buffersize is less than 1, timeout negative.
            TypeError: buffersize is no int.
            NotShareableError: fn cannot be sent.
            RuntimeError, BrokenInterpreterPool: as submit().
        """
        if chunksize is not None:
            _positive("chunksize", chunksize, "be >= 1")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError(f"buffersize must be an integer or None, got {buffersize!r}")
        if buffersize is not None and buffersize < 1:
            raise ValueError(f"buffersize must be None or > 0, got {buffersize}")
        if timeout is not None:
            timeout = _seconds(timeout)
        if progress is not None:
            _progress.check(progress)
        source: Any = zip(*iterables, strict=False)
        items = list(source if buffersize is None else itertools.islice(source, buffersize))
        size, source = len(items), itertools.chain(items, source)
        if task_timeout is not None:
            task_timeout = _seconds(task_timeout)
        if task_timeout is not None or self._running is not None:
            return self._map_futures(fn, source, timeout, size, task_timeout)
        self._check()
        results = self._pool.map(
            fn,
            source,
            size,
            min(chunksize or 0, sys.maxsize),
            min(self._max_workers, sys.maxsize),
            timeout,
            progress is not None,
        )
        with self._workers.lock:
            self._check()
            results.begin()
            self._workers.start(completes=False)
        return (
            results
            if progress is None
            else _progress.show(results, progress, size if buffersize is None else None)
        )

    def _map_futures(
        self,
        fn: Callable[..., _T],
        source: Iterator[tuple[Any, ...]],
        timeout: float | None,
        size: int,
        task_timeout: float | None,
    ) -> Iterator[_T]:
        """As map(), with a future for each call, since these can be interrupted."""
        end = None if timeout is None else time.monotonic() + timeout
        futures = deque(
            self._submit(fn, args, {}, task_timeout) for args in itertools.islice(source, size)
        )
        executor = weakref.ref(self)

        def results() -> Iterator[_T]:
            try:
                while futures:
                    if (self := executor()) and (args := next(source, None)):
                        futures.append(self._submit(fn, args, {}, task_timeout))
                    del self
                    left = None if end is None else max(end - time.monotonic(), 0)
                    future = futures[0]
                    result = future.result(left)
                    futures.popleft()
                    del future
                    yield result
            finally:
                for future in futures:
                    future.cancel()

        return results()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; workers end when they have performed those that there are.

        Args:
            wait: whether to wait for that. A worker that was replaced is not waited for.
            cancel_futures: whether calls that have not begun are cancelled.
        """
        self._workers.close(cancel_futures)
        if cancel_futures:
            for future in list(self._running or ()):
                future.cancel()
        if wait:
            self._workers.join()

    def stats(self) -> dict[str, int]:
        """Return how many calls there were and are, and workers.

        Its keys: `workers` that there are, `busy` of them, `waiting` calls; and so far, of calls,
        `submitted` with submit(), `performed` in all, `failed` by an exception, `cancelled`, `timed_out`;
        and `given_up`, workers that were replaced.
        """
        return {"workers": self._workers.count(), **self._pool.counts()}

    def __repr__(self) -> str:
        name = f"{self._thread_name_prefix!r}, max_workers={self._max_workers}"
        return f"<{type(self).__name__} {name}{', shut down' if self._shutdown else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError(
            "an executor belongs to the interpreter that has made it: a worker that waited for its "
            "own pool might wait for itself"
        )


def _positive(name: str, value: Any, what: str) -> None:
    try:
        number = operator.index(value)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"{name} must be an integer, got {kind} {value!r}") from None
    if number < 1:
        raise ValueError(f"{name} must {what}, got {value!r}")


def _text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, got {value!r}")
    if "\0" in value:
        raise ValueError(f"{name} has an embedded null character")
    value.encode()  # raises for what is no text


def _check_isolation(isolation: Any) -> None:
    if isolation is None:
        return
    _text("isolation", isolation)
    if isolation not in ISOLATIONS:
        raise ValueError(f"isolation must be one of {ISOLATIONS} or None, got {isolation!r}")


def _processors() -> int:
    return len(os.sched_getaffinity(0))
