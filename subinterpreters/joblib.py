# SPDX-License-Identifier: MIT
"""A backend of joblib: Parallel(backend="subinterpreters") calls functions in interpreters of this process.

Importing this module registers it; see docs/joblib.md.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from typing import TYPE_CHECKING, Any

import joblib
from joblib._parallel_backends import FallbackToBackend, SequentialBackend, ThreadingBackend
from joblib.parallel import AutoBatchingMixin, ParallelBackendBase

from subinterpreters import _joblib_worker
from subinterpreters._joblib_worker import Packed, call_batch, pack, unpack
from subinterpreters._pool import InterpreterPoolExecutor

if TYPE_CHECKING:
    from subinterpreters._pool import Isolation

__all__ = ["register", "shutdown"]

NAME = "subinterpreters"


class _Pools:
    """The pool that calls of Parallel use one after the other, and those that are in use beside it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: dict[InterpreterPoolExecutor, int] = {}
        self._key: Any = None
        self._kept: InterpreterPoolExecutor | None = None

    def take(self, n_jobs: int, **options: Any) -> InterpreterPoolExecutor:
        """Return a pool of that size; the one that was used last, if that is such a one."""
        key = (n_jobs, sorted(options.items()))
        with self._lock:
            dropped = None
            if self._kept is None or key != self._key:
                pool = InterpreterPoolExecutor(n_jobs, cancel_running=True, **options)
                dropped, self._kept = self._kept, pool
                self._key = key
            pool = self._kept
            self._users[pool] = self._users.get(pool, 0) + 1
            unused = dropped is not None and dropped not in self._users
        if unused and dropped is not None:
            dropped.shutdown(wait=False)
        return pool

    def give_back(self, pool: InterpreterPoolExecutor) -> None:
        with self._lock:
            self._users[pool] -= 1
            if self._users[pool] > 0:
                return
            del self._users[pool]
            unused = pool is not self._kept
        if unused:
            pool.shutdown(wait=False)

    def drop(self, pool: InterpreterPoolExecutor | None) -> None:
        """Do not keep that pool for the next call; None: whichever it is, and wait for its end."""
        with self._lock:
            dropped = self._kept
            if dropped is None or pool not in (None, dropped):
                return
            self._kept = None
            unused = dropped not in self._users
        if unused:
            dropped.shutdown(wait=pool is None)


_pools = _Pools()


def _after_fork_in_child() -> None:
    global _pools
    _pools = _Pools()


os.register_at_fork(after_in_child=_after_fork_in_child)


def shutdown() -> None:
    """End the workers that are kept for the next call of Parallel; those in use end after theirs."""
    _pools.drop(None)


class _Backend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Calls functions in a pool of interpreters, which the next call of Parallel uses again.

    Args:
        isolation: of the workers, as create() has it. In "private" ones any extension works.
    """

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True

    def __init__(self, isolation: Isolation | None = "private", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._isolation: Isolation | None = isolation
        self._pool: InterpreterPoolExecutor | None = None
        self._futures: set[Future[Any]] = set()
        self._max_nbytes: int | None = None
        self._mmap_mode: str | None = None

    # joblib's own methods here just have no annotations
    def effective_n_jobs(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, n_jobs: int | None
    ) -> int:
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        return n_jobs if n_jobs > 0 else max(joblib.cpu_count() + 1 + n_jobs, 1)

    def configure(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        n_jobs: int = 1,
        parallel: Any = None,
        prefer: str | None = None,
        require: str | None = None,
        *,
        max_nbytes: int | None = None,
        mmap_mode: str | None = "r",
        **ignored: Any,
    ) -> int:
        """See ParallelBackendBase. A call within a worker uses threads of it."""
        if _joblib_worker.in_worker:
            raise FallbackToBackend(ThreadingBackend(nesting_level=self.nesting_level))
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        self._max_nbytes, self._mmap_mode = max_nbytes, mmap_mode
        self._threads = self.inner_max_num_threads or max(joblib.cpu_count() // n_jobs, 1)
        self._pool = _pools.take(n_jobs, isolation=self._isolation)
        return n_jobs

    def submit(self, func: Any, callback: Callable[[Any], Any] | None = None) -> Future[Any]:
        assert self._pool is not None
        level = (self.nesting_level or 0) + 1
        batch = pack(func.items, self._max_nbytes, self._mmap_mode)
        future: Future[Any] = self._pool.submit(
            call_batch, batch, level, self._threads, self._max_nbytes
        )
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future[Packed]) -> Any:
        try:
            return unpack(*out.result())
        except BrokenExecutor:
            _pools.drop(self._pool)
            raise

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel what waits and interrupt what runs; the pool replaces workers that do not react."""
        for future in list(self._futures):
            future.cancel()

    def terminate(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            _pools.give_back(pool)
        self.reset_batch_stats()


def register() -> None:
    """Make the backend known to joblib by its name, "subinterpreters"."""
    joblib.register_parallel_backend(NAME, _Backend)


register()
