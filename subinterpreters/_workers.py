# SPDX-License-Identifier: MIT
"""The threads of an executor: its workers, and the one that completes futures."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures.thread import BrokenThreadPool
from contextlib import suppress
from typing import TYPE_CHECKING

from subinterpreters import _calls  # noqa: F401  # its hook for the process's end comes before ours
from subinterpreters._subinterpreters import (
    Interpreter,
    InterpreterError,
    Pool,
    _import_was_refused,
)

if TYPE_CHECKING:
    from concurrent.futures import Executor

_LOGGER = logging.getLogger("concurrent.futures")


class BrokenInterpreterPool(BrokenThreadPool):
    """A worker could not be made, or its initializer failed, so the pool takes no more tasks."""


class _Begun(threading.Event):
    """Whether a thread has begun; start() is not to wait for it."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


class _Worker(threading.Thread):
    """A thread that nobody waits for when it is started: who submits has other things to do meanwhile.

    To sleep and to be woken takes longer than to start it, and contends with it for the GIL.
    """

    def __init__(self, name: str, target: Callable[[], None]) -> None:
        super().__init__(name=name, target=target)
        self._started = _Begun()
        self._process: int | None = None  # that it was started in

    def start(self) -> None:
        self._process = os.getpid()
        try:
            super().start()
        except RuntimeError:
            self._process = None
            raise

    def _is_about_to_begin(self) -> bool:
        return not self._started.is_set() and self._process == os.getpid()

    def is_alive(self) -> bool:
        return self._is_about_to_begin() or super().is_alive()

    def join(self, timeout: float | None = None) -> None:
        end = None if timeout is None else time.monotonic() + timeout
        if self._is_about_to_begin():
            threading.Event.wait(self._started, timeout)  # before that Thread.join() raises
        if self._started.is_set():
            super().join(None if end is None else max(end - time.monotonic(), 0))


class Workers:
    """What an executor's threads share with it. They do not keep the executor alive."""

    def __init__(
        self,
        limit: int,
        prefix: str,
        make: Callable[[str, bool], Interpreter],
        initialize: Callable[[Interpreter], None],
        most: int,
        chooses: bool,
    ) -> None:
        self.pool = Pool(self._replace, self._more, self._performed)
        self.limit = limit
        self.prefix = prefix
        self.threads: set[threading.Thread] = set()
        self.lock = threading.RLock()  # a finalizer may shut it down at any time
        self.process = os.getpid()
        self.closed = False
        self.broken: tuple[str, BaseException | None] | None = None  # why
        self._make = make
        self._initialize = initialize
        self._most = most
        self._chooses = chooses  # whether private ones do what the others cannot
        self._private = False  # whether new ones are private
        self._count = 0  # of workers that are not given up
        self._started = itertools.count()
        self._completer: threading.Thread | None = None
        self._ended = False
        self.executor: weakref.ref[Executor] | None = None  # ends the pool with it
        _all.add(self)

    def start(self, completes: bool = True, workers: int = 0) -> None:
        """Start what threads there is work for, and so many workers in any case. With the lock."""
        # workers first: to start the completer is to wait for it, and they have their interpreters to make
        while self._count < self.limit and self._count < max(workers, self.pool.load):
            self._start_worker()
        if completes:
            self._start_completer()

    def _start_completer(self) -> None:
        if self._completer is None and not self._ended:
            completer = threading.Thread(name=f"{self.prefix}_results", target=self.pool.complete)
            self._completer = completer
            try:
                completer.start()
            finally:
                if completer.ident is None:
                    self._completer = None

    def _start_worker(self) -> None:
        thread = _Worker(f"{self.prefix}_{next(self._started)}", self._work)
        self._count += 1
        try:
            thread.start()
        except BaseException:
            self._count -= 1
            raise
        self.threads.add(thread)

    def _replace(self, ident: int) -> None:
        """A worker is given up: its thread does not count any more."""
        with self.lock:
            self._count -= 1
            self.threads = {thread for thread in self.threads if thread.ident != ident}
            if not self.broken:
                self.start()
            self._end_if_last()

    def _more(self) -> None:
        """A map has gone on."""
        with self.lock:
            if not self.broken:
                self.start(completes=False)

    def _performed(self) -> None:
        """The first call has been performed: what waits for its result may need the completer."""
        try:
            with self.lock:
                self._start_completer()
        except BaseException as error:  # noqa: BLE001
            self._break(error)

    def _work(self) -> None:
        lost = False
        try:
            while (how := self._live()) in ("used up", "refused", "spoilt") and not self.broken:
                pass
            lost = how == "given up"
        except BaseException as error:  # noqa: BLE001
            self._break(error)
        finally:
            if self.broken:
                self.pool.refuse(self.make_error)
            completes = self._has_to_complete()
            self._leave(lost)
            if completes:
                self.pool.complete()

    def _live(self) -> str:
        """Be a worker for the life of one interpreter."""
        private = self._private
        try:
            interp = self._make(threading.current_thread().name, private)
        except InterpreterError:
            if not private:
                raise
            self._chooses = self._private = private = False  # there are no private ones here
            interp = self._make(threading.current_thread().name, private)
        gives_up = self._chooses and not private
        with interp:
            how = self._serve(interp, gives_up)
        if how == "refused":
            self._private = self._chooses
        return how

    def _serve(self, interp: Interpreter, gives_up: bool) -> str:
        try:
            self._initialize(interp)
        except BaseException as error:
            if gives_up and interp._call_now(_import_was_refused):
                return "refused"
            _LOGGER.critical("Exception in initializer:", exc_info=True)
            why = "an initializer failed, the interpreter pool is not usable anymore"
            raise BrokenInterpreterPool(why) from error
        return self.pool.work(interp, self._most, gives_up)

    def _break(self, error: BaseException) -> None:
        """Take no more tasks, since a worker could not go on."""
        text, cause = str(error), error.__cause__
        if not isinstance(error, BrokenInterpreterPool):
            cause = error
            text = f"a worker ended: {type(error).__name__}: {error}"
            text += "; the interpreter pool is not usable anymore"
        with self.lock:
            self.broken = self.broken or (text, cause)
        self.pool.close()  # what workers have not taken is refused when they leave

    def make_error(self) -> BrokenInterpreterPool:
        """Return a new exception for each, since they have tracebacks of their own."""
        assert self.broken is not None
        text, cause = self.broken
        error = BrokenInterpreterPool(text)
        error.__cause__ = cause
        return error

    def _leave(self, lost: bool) -> None:
        with self.lock:
            self.threads.discard(threading.current_thread())
            self._count -= not lost
            self._end_if_last()

    def _end_if_last(self) -> None:
        if (self.closed or self.broken) and self._count == 0:
            self._ended = True
            self.pool.end()

    def _has_to_complete(self) -> bool:
        """Become the completer if that could not be started."""
        with self.lock:
            missing = self.broken is not None and self._completer is None
            if missing:
                self._completer = threading.current_thread()
            return missing

    def close_abandoned(self, executor: weakref.ref[Executor]) -> None:
        self.close()

    def close(self, cancel: bool = False) -> None:
        """Take no more tasks; workers end when they have performed those that there are."""
        with self.lock:
            self.closed = True
            self.executor = None  # which leads to self
            self.pool.close()
            if cancel:
                self.pool.refuse(None)
            self._end_if_last()

    def join(self) -> None:
        """Wait for all threads but the caller's own, and those that are given up."""
        here = threading.current_thread()
        for thread in list(self.threads):
            if thread is not here:
                thread.join()
        with self.lock:
            completer = self._completer  # the last worker may have started it
        if completer is not None and completer is not here:
            completer.join()

    def count(self) -> int:
        return self._count


_all: weakref.WeakSet[Workers] = weakref.WeakSet()
_ending = False


def is_ending() -> bool:
    """Whether nothing more can be submitted, since the process is ending."""
    return _ending


def _at_end() -> None:
    global _ending
    _ending = True
    for workers in list(_all):
        workers.close()
    for workers in list(_all):
        workers.join()


with suppress(RuntimeError):  # it has begun
    threading._register_atexit(_at_end)  # type: ignore[attr-defined]


def _after_fork_in_child() -> None:
    for workers in list(_all):
        workers.lock = threading.RLock()  # another thread may have had it
        workers.threads, workers._completer = set(), None
    _all.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
