# SPDX-License-Identifier: MIT
"""InterpreterPoolExecutor: calls that are spread over interpreters."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures._base import FINISHED
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from subinterpreters._subinterpreters import (
    ChannelClosedError,
    InterpreterError,
    _complete_tasks,
    _refuse_tasks,
    _serve,
    _submit_task,
    create,
    create_channel,
)


class BrokenInterpreterPool(Exception):
    pass


class _Future(Future):
    _task: Any = None

    def cancel(self) -> bool:
        with self._condition:
            if self._state == FINISHED:
                return False
            if self._state != "PENDING":
                return True
        if self._task is not None and not self._task.cancel():
            return False
        return self._cancelled()

    def _cancelled(self) -> bool:
        super().cancel()
        self.set_running_or_notify_cancel()
        return True

    _results: Any = None

    def result(self, timeout: float | None = None) -> Any:
        if self._state == "PENDING" and self._task is not None:
            end = None if timeout is None else time.monotonic() + timeout
            self._task.wait(self._results, timeout)
            if end is not None:
                timeout = max(end - time.monotonic(), 0)
        return super().result(timeout)

    def running(self) -> bool:
        return self._task is not None and not self.done() and self._task.is_running()


class _Shared:
    """What the workers' threads share with the executor, which they do not keep alive."""

    def __init__(self) -> None:
        self.tasks, self.submit = create_channel()
        self.results, self.done = create_channel()
        self.lock = threading.Lock()
        self.broken: BaseException | None = None


def _work(shared: _Shared, make: Callable[[], Any], most: int) -> None:
    while True:
        with make() as interp:
            if not interp._call_now(_serve, shared.tasks, shared.done, most):
                return


class InterpreterPoolExecutor(Executor):
    def __init__(self, max_workers=None, thread_name_prefix="", initializer=None, initargs=(), *, isolation=None):
        self._max = max_workers or len(os.sched_getaffinity(0))
        self._tasks, self._submit_end = create_channel()
        self._results, done = create_channel()
        self._done = done
        self._isolation = isolation
        self._threads = []
        self._shutdown = False
        self._lock = threading.Lock()
        self._collector = threading.Thread(target=_complete_tasks, args=(self._results,), daemon=True)
        self._collector.start()

    def _start_worker(self):
        def work(tasks=self._tasks, done=self._done, isolation=self._isolation):
            with create(isolation=isolation) as interp:
                interp._call_now(_serve, tasks, done, 0)
        t = threading.Thread(target=work)
        t.start()
        self._threads.append(t)

    def submit(self, fn, /, *args, **kwargs):
        future = _Future()
        with self._lock:
            if self._shutdown:
                raise RuntimeError("cannot schedule new futures after shutdown")
            future._results = self._results
            future._task = _submit_task(self._submit_end, future, fn, args, kwargs)
            if len(self._threads) < self._max and len(self._tasks) > 0:
                self._start_worker()
        return future

    def shutdown(self, wait=True, *, cancel_futures=False):
        with self._lock:
            self._shutdown = True
            if cancel_futures:
                _refuse_tasks(self._tasks, None)
        self._submit_end.close()
        if wait:
            for t in self._threads: t.join()
            self._done.close()
            self._collector.join()
