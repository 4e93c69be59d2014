# SPDX-License-Identifier: MIT
"""Calls in other interpreters: what of them needs threads, and the exceptions that they raise.

Interpreter's methods import this when they need it.
"""

from __future__ import annotations

import inspect
import threading
import time
import types
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import suppress
from typing import Any

from subinterpreters._subinterpreters import ExecutionFailed, Interpreter, InterpreterError

GRACE = 1.0  # seconds for interrupted code to come back

# ---- exceptions ----------------------------------------------------------------------------------

_both: dict[type[BaseException], type[BaseException] | None] = {}


def _join(cls: type[BaseException]) -> type[BaseException] | None:
    """Return a class that is both `cls` and ExecutionFailed, or None if there can be none."""

    def reduce(self: BaseException) -> Any:  # sent on, it is just the original again
        return cls, self.args, {k: v for k, v in vars(self).items() if k != "excinfo"}

    namespace = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "__reduce__": reduce,
    }
    bases = (ExecutionFailed,) if issubclass(ExecutionFailed, cls) else (cls, ExecutionFailed)
    try:
        both: type[BaseException] = types.new_class(
            cls.__name__, bases, exec_body=lambda body: body.update(namespace)
        )
    except Exception:  # noqa: BLE001 (their layouts or metaclasses do not go together)
        return None
    return both


def rebuild(exc: BaseException, failed: ExecutionFailed) -> BaseException:
    """Return what a call raises here when `exc` is what it raised there.

    That is an exception of the same type, and of the type ExecutionFailed, too, where that is possible, so
    that whoever expects the one or the other catches it.
    """
    cls = type(exc)
    if cls not in _both:
        _both[cls] = _join(cls) if cls.__reduce__ is BaseException.__reduce__ else None
    both = _both[cls]
    if both is not None:
        with suppress(Exception):  # its __init__ may want something else
            joined = both(*exc.args)
            vars(joined).update(vars(exc), excinfo=failed.excinfo)
            exc = joined
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


class Worker:
    """The thread that stays with an interpreter, and what it has to do there."""

    def __init__(self, interp: Interpreter) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=interp.name)
        self._last: Future[Any] | None = None
        self._lock = threading.Lock()
        self.tasks = 0  # submitted and not done

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self._last = future = self._executor.submit(function, *args, **kwargs)
        with self._lock:
            self.tasks += 1
        future.add_done_callback(self._count_done)
        return future

    def _count_done(self, _: Future[Any]) -> None:
        with self._lock:
            self.tasks -= 1

    def finish(self, timeout: float | None) -> None:
        """Wait until all that was submitted is done; nothing can be submitted any more."""
        last = self._last
        if last is not None and not wait_for([last], timeout).done:
            raise TimeoutError("what was submitted to the interpreter is not done")
        self._executor.shutdown()


_making = threading.Lock()


def _worker(interp: Interpreter) -> Worker:
    with _making:
        if interp._worker is None:
            interp._worker = Worker(interp)
        worker: Worker = interp._worker
        return worker


def _in_time(
    interp: Interpreter, timeout: float, function: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    """Call a function that runs something in the interpreter, on its thread, and interrupt it in time."""
    if not timeout >= 0:
        raise ValueError(f"timeout must not be negative, got {timeout!r}")
    if interp.is_running():
        raise InterpreterError(f"interpreter {interp.id} is already running")
    future = _worker(interp).submit(function, *args, **kwargs)
    try:
        wait_for([future], timeout)
        if future.done():
            return future.result()
    except BaseException:  # a handler of signals has raised
        _stop(interp, future)
        raise
    stopped = _stop(interp, future)
    if stopped and future.exception() is None:
        return future.result()  # it just made it
    reaction = "was interrupted" if stopped else "did not react to being interrupted, and goes on"
    raise TimeoutError(f"not done after {timeout} seconds; the code {reaction}")


def _stop(interp: Interpreter, future: Future[Any]) -> bool:
    """Interrupt what runs, and wait for its end; code may need to be told more than once."""
    deadline = time.monotonic() + GRACE
    pause = 0.05
    while not future.done() and time.monotonic() < deadline:
        interp.interrupt()
        wait_for([future], pause)
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
