# SPDX-License-Identifier: MIT
"""How much memory a program takes while it runs, with the processes that it has started."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

SAMPLE_SECONDS = 0.02


def tree_memory(pid: int) -> int:
    """Return the bytes of a process and all its descendants; a page shared by n has n owners."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += each.memory_full_info().pss
    return total


@contextmanager
def sampling(pid: int, samples: list[int]) -> Iterator[None]:
    """Append the bytes of a process tree to `samples`, time after time, in a thread."""
    done = threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLE_SECONDS):
            samples.append(tree_memory(pid))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
