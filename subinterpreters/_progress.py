# SPDX-License-Identifier: MIT
"""What a map shows of its calls while they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any


def check(progress: Any) -> None:
    if progress is not True and not callable(progress):
        raise TypeError(f"progress must be True, None or a function, got {progress!r}")


def _reporter(
    progress: Any, total: int | None
) -> tuple[Callable[[int], object], Callable[[], object]]:
    """Return what to call with a number of calls that have ended, and what at the end."""
    if callable(progress):
        return progress, lambda: None
    with suppress(ImportError):
        from tqdm.auto import tqdm

        bar = tqdm(total=total)
        return bar.update, bar.close
    try:
        from rich.progress import Progress
    except ImportError:
        raise ImportError("progress=True needs tqdm or rich") from None
    shown = Progress()
    task = shown.add_task("", total=total)
    shown.start()
    return (lambda count: shown.advance(task, count)), shown.stop


def show(results: Any, progress: Any, total: int | None) -> Iterator[Any]:
    """Return an iterator over the results that tells of calls as they end."""
    report, stop = _reporter(progress, total)

    def iterator() -> Iterator[Any]:
        told = 0
        try:
            while True:
                while not results.wait():
                    told += _report(report, results.finished - told)
                told += _report(report, results.finished - told)
                try:
                    result = next(results)
                except StopIteration:
                    return
                yield result
        finally:
            results.close()
            stop()

    return iterator()


def _report(report: Callable[[int], object], count: int) -> int:
    if count > 0:
        report(count)
    return count
