# SPDX-License-Identifier: MIT
"""What the workers of joblib's backend do: without joblib, where that cannot be imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from subinterpreters import _pickling

# A pickle, what was sent beside it, and buffers: see _pickling.
Packed = tuple[bytes, list[Any], list[Any]]
Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

in_worker = False


def pack(obj: object, max_nbytes: int | None, mode: str | None) -> Packed:
    """Pickle an object. Arrays from `max_nbytes` on are shared, others are copied, as joblib's memmaps.

    Args:
        max_nbytes: None: all are copied.
        mode: of joblib: "r" and "c" are for arrays that others do not change.
    """
    data, parts, buffers = _pickling.dumps(obj, type(obj).__name__)
    return data, parts, [_own_or_share(each, max_nbytes, mode) for each in buffers]


def _own_or_share(buffer: memoryview, max_nbytes: int | None, mode: str | None) -> Any:
    if max_nbytes is None or mode in (None, "c") or buffer.nbytes < max_nbytes:
        return memoryview(bytearray(buffer)) if not buffer.readonly else bytes(buffer)
    return buffer.toreadonly() if mode == "r" else buffer


def unpack(data: bytes, parts: list[Any], buffers: list[Any]) -> Any:
    return _pickling.loads(data, parts, buffers)


def _nested(level: int) -> AbstractContextManager[Any]:
    """What calls of Parallel in a task use: threads, and below these nothing."""
    try:
        from joblib import parallel_config
        from joblib._parallel_backends import SequentialBackend, ThreadingBackend
    except ImportError:  # isolation="own"
        return nullcontext()
    import subinterpreters.joblib  # noqa: F401  # registers it by its name

    backend = (ThreadingBackend if level == 1 else SequentialBackend)(nesting_level=level)
    context: AbstractContextManager[Any] = parallel_config(backend=backend, n_jobs=None)
    return context


def _limit_threads(threads: int) -> AbstractContextManager[Any]:
    """Limit the threads of OpenMP, which are this thread's own, if threadpoolctl is there."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    limits: AbstractContextManager[Any] = threadpool_limits(threads, user_api="openmp")
    return limits


def call_batch(batch: Packed, level: int, threads: int, max_nbytes: int | None) -> Packed:
    """Do what a batch of joblib's has; the results are shared from `max_nbytes` on."""
    global in_worker
    in_worker = True
    with _nested(level):
        calls: Sequence[Call] = unpack(*batch)
        with _limit_threads(threads):
            results = [function(*args, **kwargs) for function, args, kwargs in calls]
    return pack(results, max_nbytes, "r+")
