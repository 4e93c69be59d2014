# SPDX-License-Identifier: MIT
"""Calls in other interpreters: what of them needs threads, and the exceptions that they raise.

Interpreter's methods import this when they need it.
"""

from __future__ import annotations

import inspect
import logging
import os
import threading
import time
import types
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from typing import Any
from weakref import WeakSet

from subinterpreters._subinterpreters import (
    Event,
    ExecutionFailed,
    Interpreter,
    InterpreterClosedError,
    InterpreterError,
    _before_threads_are_joined,
    _seconds,
    get_current,
    get_main,
)

GRACE = 1.0  # seconds for interrupted code to come back

# The end of the process: what is registered last is called first, and concurrent.futures waits for ever.
if get_current() == get_main():
    with suppress(RuntimeError):  # it has begun
        threading._register_atexit(_before_threads_are_joined)  # type: ignore[attr-defined]

# ---- exceptions ----------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _join(cls: Any) -> type[BaseException]:
    """Return a class that is both `cls` and ExecutionFailed; raise if there can be none."""

    def reduce(self: BaseException) -> Any:  # sent on, it is just the original again
        _, args, *rest = cls.__reduce__(self)
        states = [{k: v for k, v in state.items() if k != "excinfo"} for state in rest if state]
        return cls, args, *states

    namespace = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "__reduce__": reduce,
    }
    bases = (ExecutionFailed,) if issubclass(ExecutionFailed, cls) else (cls, ExecutionFailed)
    joined: type[BaseException] = types.new_class(
        cls.__name__, bases, exec_body=lambda body: body.update(namespace)
    )
    return joined


def _make(cls: type[BaseException], args: tuple[Any, ...], attributes: Any) -> BaseException:
    """Return an exception made of its parts, without its class's __init__, which may want something else."""
    exc = cls.__new__(cls, *args)
    builtin: Any = next(each for each in cls.__mro__ if each.__module__ == "builtins")
    builtin.__init__(exc, *args)
    exc.args = args
    vars(exc).update(attributes or {})
    return exc


def _copy(cls: type[BaseException], exc: BaseException) -> BaseException:
    """Return an exception of class `cls` made as `exc` wants to be copied."""
    reduced: Any = exc.__reduce_ex__(4)
    make, args, *rest = reduced
    if make is not type(exc):
        raise TypeError("it is not made by its class")
    copy = cls(*args)
    for state in rest:
        if state is not None:
            copy.__setstate__(state)
    return copy


def rebuild(sent: Any, failed: ExecutionFailed) -> BaseException:
    """Return what a call raises here; `sent` is what the exception there was sent as.

    That is an exception of the same type, and of the type ExecutionFailed, too, where that is possible, so
    that whoever expects the one or the other catches it.
    """
    exc: BaseException = failed
    if isinstance(sent, BaseException):
        exc = sent
        with suppress(Exception):  # layouts, metaclasses or arguments do not go together
            cls: Any = type(sent)
            exc = _copy(_join(cls), sent)
    else:
        cls, *parts = sent
        with suppress(Exception):
            exc = _make(cls, *parts)
        with suppress(Exception):
            exc = _make(_join(cls), *parts)
    if exc is not failed:
        if isinstance(exc, ExecutionFailed):
            exc.excinfo = failed.excinfo
        exc.__cause__ = failed
    return exc


# ---- threads -------------------------------------------------------------------------------------


def call_in_thread(
    interp: Interpreter, callable: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> threading.Thread:
    """See Interpreter.call_in_thread."""
    thread = threading.Thread(target=interp.call, args=(callable, *args), kwargs=kwargs)
    thread.start()
    return thread


class _End:
    """Waits for a future's end. Ctrl-C ends that as it does all waits of this package, in any interpreter."""

    def __init__(self, future: Future[Any]) -> None:
        self._event = event = Event()
        future.add_done_callback(lambda _: event.set())

    def wait(self, timeout: float | None) -> bool:
        return self._event.wait(timeout)


def _perform(
    future: Future[Any], function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Do what was submitted. The thread goes on whatever callbacks raise, also SystemExit."""
    try:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001
            future.set_exception(error)
        else:
            future.set_result(result)
    except BaseException:  # as the future does it for an Exception
        logging.getLogger("concurrent.futures").exception("exception calling callback")
    finally:
        del future, function, args, kwargs  # an exception leads to this frame


class Worker:
    """The thread that stays with an interpreter, and what it has to do there."""

    def __init__(self, interp: Interpreter) -> None:
        idents: list[int] = []
        self._idents = idents  # of the thread, once there is one
        self._executor = ThreadPoolExecutor(
            1,
            thread_name_prefix=interp.name,
            initializer=lambda: idents.append(threading.get_ident()),
        )
        self._lock = threading.Lock()
        self._last: Future[Any] | None = None
        self._finished = False
        self._pending: set[Future[Any]] = set()  # submitted and not done
        _workers.add(self)
        # The thread is there before anything runs on it: when Ctrl-C comes while one is started, the
        # executor does not know it, and nobody makes it end.
        self._executor.submit(int).result()

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            if self._finished:
                raise InterpreterClosedError("the interpreter is being closed, or is closed")
            self._executor.submit(_perform, future, function, args, kwargs)
            self._last = future
            self._pending.add(future)
        future.add_done_callback(self._forget)
        return future

    def _forget(self, future: Future[Any]) -> None:
        with self._lock:
            self._pending.discard(future)

    @property
    def tasks(self) -> int:
        return len(self._pending)

    def forked(self) -> None:
        """In the child of a fork, which has not the thread: nothing that is pending will be done."""
        why = "the call was submitted in the process that this one was forked from"
        for future in self._pending:
            future._condition = threading.Condition()  # another thread may have had its lock
            future._done_callbacks.clear()  # type: ignore[attr-defined]  # the parent's business
            with suppress(InvalidStateError):
                future.set_exception(InterpreterError(why))

    def finish(self, timeout: float | None) -> None:
        """Wait until all that was submitted is done; nothing can be submitted any more."""
        end = None if timeout is None else time.monotonic() + _seconds(timeout)
        while (last := self._finish_if_done()) is not None:
            if self.is_here():
                raise InterpreterError("what was submitted is not done, and waits for the caller")
            left = None if end is None else max(end - time.monotonic(), 0)
            if not _End(last).wait(left):
                raise TimeoutError("what was submitted to the interpreter is not done")
        self._executor.shutdown(wait=not self.is_here())

    def _finish_if_done(self) -> Future[Any] | None:
        """Return what is not done; if there is nothing, nothing can be submitted any more."""
        with self._lock:
            last = self._last
            self._finished = last is None or last.done()
            if self._finished:
                self._last = last = None  # which may have much
            return last

    @property
    def finished(self) -> bool:
        return self._finished

    def is_here(self) -> bool:
        """Return whether its thread is the caller's: this is a callback of a future."""
        return threading.get_ident() in self._idents


_making = threading.Lock()
_workers: WeakSet[Worker] = WeakSet()


def _after_fork_in_child() -> None:
    global _making
    _making = threading.Lock()
    for worker in list(_workers):
        worker.forked()
    _workers.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _worker(interp: Interpreter) -> Worker:
    with _making:
        worker: Worker | None = interp._worker
        if worker is None:
            interp.is_running()  # raises if it is closed
            interp._worker = worker = Worker(interp)
            try:
                interp.is_running()  # if not now, close() sees the worker
            except InterpreterClosedError:
                worker.finish(None)
                raise
        return worker


class _Job:
    """A call of a function that can be told not to begin."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._lock = threading.Lock()
        self._abandoned = False
        self._ended = threading.Event()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            if self._abandoned:
                return None
        try:
            return self._function(*args, **kwargs)
        finally:
            self._ended.set()

    def abandon(self, interp: Interpreter) -> None:
        """Keep it from beginning; if it has begun, interrupt it."""
        with self._lock:
            self._abandoned = True
        deadline = time.monotonic() + GRACE
        while not self._ended.wait(0.05) and time.monotonic() < deadline and interp.interrupt():
            pass


def _in_time(
    interp: Interpreter, timeout: float, function: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    """Call a function that runs something in the interpreter, on its thread, and interrupt it in time."""
    timeout = _seconds(timeout)
    if interp.is_running():
        raise InterpreterError(f"interpreter {interp.id} is already running")
    worker, job = _worker(interp), _Job(function)
    if worker.is_here():
        raise InterpreterError("a callback of what was submitted cannot wait for the same thread")
    try:
        future = worker.submit(job, *args, **kwargs)
    except BaseException:  # a handler of signals has raised, when it may have begun
        job.abandon(interp)
        raise
    end = _End(future)
    error: BaseException | None = None
    try:
        try:
            end.wait(timeout)
        except BaseException:  # a handler of signals has raised
            _stop(interp, future, end)
            raise
        if future.done():
            return future.result()
        if not _stop(interp, future, end):
            why = "the code did not react to being interrupted, and goes on"
        elif future.cancelled():
            why = "it has not begun, after what was submitted before"
        else:
            error = future.exception()
            if error is None:
                return future.result()  # it just made it
            why = "the code was interrupted"
        raise TimeoutError(f"not done after {timeout} seconds: {why}") from error
    finally:
        del future, error  # the exception leads to this frame


def _stop(interp: Interpreter, future: Future[Any], end: _End) -> bool:
    """Interrupt what runs, and wait for its end; code may need to be told more than once."""
    if future.cancel():
        return True
    deadline = time.monotonic() + GRACE
    pause = 0.005  # the code may not have begun yet
    while not future.done() and time.monotonic() < deadline:
        with suppress(InterpreterError):  # somebody else has closed it
            interp.interrupt()
        end.wait(pause)
        pause *= 2
    return future.done()


def exec_in_time(interp: Interpreter, code: Any, /, *, timeout: float) -> None:
    """See Interpreter.exec."""
    _in_time(interp, timeout, interp.exec, code)


def call_in_time(
    interp: Interpreter, callable: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    """See Interpreter.call: `timeout` belongs to it or to the callable."""
    if _takes_timeout(callable):
        return interp._call_now(callable, *args, **kwargs)
    timeout = kwargs.pop("timeout")
    if timeout is None:
        return interp._call_now(callable, *args, **kwargs)
    return _in_time(interp, timeout, interp._call_now, callable, *args, **kwargs)


def _takes_timeout(callable: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(callable).parameters.values()
    except (TypeError, ValueError):  # one in C that does not tell
        return True
    return any(
        each.kind is each.VAR_KEYWORD
        or (each.name == "timeout" and each.kind is not each.POSITIONAL_ONLY)
        for each in parameters
    )


def submit(
    interp: Interpreter, callable: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Future[Any]:
    """See Interpreter.submit."""
    return submit_unless(interp, None, callable, *args, **kwargs)


def submit_unless(
    interp: Interpreter,
    begin: Callable[[int], object] | None,
    callable: Callable[..., Any],
    /,
    *args: Any,
    **kwargs: Any,
) -> Future[Any]:
    """Submit a call that does not happen if `begin` raises, which gets the number of the run."""
    return _worker(interp).submit(interp._call, begin, callable, *args, **kwargs)
