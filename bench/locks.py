# SPDX-License-Identifier: MIT
"""Locks of all interpreters, against those of one."""

from __future__ import annotations

import threading
from collections.abc import Callable

from common.harness import Result, compare_two, main, per_call

import subinterpreters


def uncontended_lock() -> Result:
    """acquire + release of a lock that nobody else wants, against threading.Lock."""

    def pair(lock: subinterpreters.Lock | threading.Lock) -> Callable[[], None]:
        acquire, release = lock.acquire, lock.release

        def both() -> None:
            acquire()
            release()

        return both

    ours, theirs = pair(subinterpreters.Lock()), pair(threading.Lock())
    return compare_two(
        "acquire + release of a free lock",
        2,
        subinterpreters=lambda: per_call(ours, 50000),
        stdlib=lambda: per_call(theirs, 50000),
    )


if __name__ == "__main__":
    main(__doc__, uncontended_lock)
