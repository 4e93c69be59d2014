# SPDX-License-Identifier: MIT
"""For clusters of Dask: the tasks of each worker run in interpreters of its process. See docs/dask.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distributed import Worker, WorkerPlugin

from subinterpreters._pool import InterpreterPoolExecutor

if TYPE_CHECKING:
    from subinterpreters._pool import Isolation

__all__ = ["InterpreterPoolPlugin"]


class InterpreterPoolPlugin(WorkerPlugin):  # type: ignore[misc]
    """Gives each worker of a cluster a pool of interpreters: client.register_plugin(...).

    Args:
        max_workers: interpreters in each pool; None: as many as the worker has threads.
        isolation: of the interpreters, as create() has it. Distributed itself needs "private".
        executor: which tasks they get: "default", or those with dask.annotate(executor=...).
    """

    name = "subinterpreters"

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        isolation: Isolation | None = "private",
        executor: str = "default",
    ) -> None:
        self._max_workers = max_workers
        self._isolation: Isolation | None = isolation
        self._executor = executor
        self._pool: InterpreterPoolExecutor | None = None
        self._before: Any = None

    def setup(self, worker: Worker) -> None:
        size = self._max_workers or worker.state.nthreads
        self._pool = InterpreterPoolExecutor(size, isolation=self._isolation)
        self._before = worker.executors.get(self._executor)
        worker.executors[self._executor] = self._pool

    def teardown(self, worker: Worker) -> None:
        if self._pool is None:
            return
        if worker.executors.get(self._executor) is self._pool:
            if self._before is None:
                del worker.executors[self._executor]
            else:
                worker.executors[self._executor] = self._before
        self._pool.shutdown(wait=False)
        self._pool = None
