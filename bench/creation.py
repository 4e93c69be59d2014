# SPDX-License-Identifier: MIT
"""Making interpreters, against concurrent.interpreters and a process."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

from common.contenders import need_stdlib
from common.harness import Result, compare_two, main, need

import subinterpreters


@contextmanager
def no_reserve() -> Iterator[None]:
    """Make every creation a new interpreter."""
    limit = subinterpreters.get_reserve_limit()
    subinterpreters.set_reserve_limit(0)
    try:
        yield
    finally:
        subinterpreters.set_reserve_limit(limit)


def create_eight() -> Result:
    """Eight creations from eight threads, against eight creations of the standard library."""

    stdlib = need_stdlib()

    def ours() -> float:
        made: list[subinterpreters.Interpreter] = []
        threads = [
            threading.Thread(target=lambda: made.append(subinterpreters.create())) for _ in range(8)
        ]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - start
        for interpreter in made:
            interpreter.close()
        return took

    def theirs() -> float:
        start = time.perf_counter()
        made = [stdlib.create() for _ in range(8)]
        took = time.perf_counter() - start
        for interpreter in made:
            interpreter.close()
        return took

    with no_reserve():
        return compare_two("create 8 interpreters", 0.7, subinterpreters=ours, stdlib=theirs)


def timed_create(module: ModuleType) -> float:
    """Seconds of one creation."""
    start = time.perf_counter()
    interpreter = module.create()
    took = time.perf_counter() - start
    interpreter.close()
    return took


def compare_modules(question: str, wanted: float, seconds: Callable[[ModuleType], float]) -> Result:
    """What takes some milliseconds and is the same code with either module."""
    stdlib = need_stdlib()
    return compare_two(
        question,
        wanted,
        rounds=15,
        subinterpreters=lambda: seconds(subinterpreters),
        stdlib=lambda: seconds(stdlib),
    )


def create_one() -> Result:
    """One creation on the main thread."""
    with no_reserve():
        return compare_modules("create one, main thread", 1, timed_create)


def create_from_reserve() -> Result:
    """One creation, when another interpreter has been closed before."""
    subinterpreters.create().close()
    return compare_modules("create one that was used before", 1 / 50, timed_create)


def short_life() -> Result:
    """Create, run a script that imports socket, close."""

    def live(module: ModuleType) -> float:
        start = time.perf_counter()
        interpreter = module.create()
        interpreter.exec("import socket")
        interpreter.close()
        return time.perf_counter() - start

    return compare_modules("create, import socket, close", 1 / 2, live)


def create_private() -> Result:
    """One creation, against the start and end of a process with the same Python."""
    command = [getattr(sys, "_base_executable", sys.executable), "-I", "-c", "pass"]

    def ours() -> float:
        start = time.perf_counter()
        interpreter = subinterpreters.create(isolation="private")
        took = time.perf_counter() - start
        interpreter.close()
        return took

    def process() -> float:
        start = time.perf_counter()
        subprocess.run(command, check=True)
        return time.perf_counter() - start

    return compare_two(
        "create a private one, against a process", 2, 15, private=ours, process=process
    )


# The first import in a process finds nothing loaded, so each round is a process.
IMPORT_TWICE = """
import json, time
import subinterpreters

def take(interpreter):
    start = time.perf_counter()
    interpreter.exec("import numpy")
    return time.perf_counter() - start

both = [subinterpreters.create(isolation="private") for _ in range(2)]
print(json.dumps([take(interpreter) for interpreter in both]))
"""


def import_numpy() -> Result:
    """Import numpy in a second private interpreter, against the first one, which is still open."""
    need("numpy")
    first = 0.0

    def second() -> float:
        nonlocal first
        done = subprocess.run(
            [sys.executable, "-P", "-c", IMPORT_TWICE], check=True, stdout=subprocess.PIPE
        )
        first, seconds = json.loads(done.stdout)
        return seconds

    return compare_two(
        "import numpy in the second private one", 1.2, second=second, first=lambda: first
    )


if __name__ == "__main__":
    main(
        __doc__,
        create_eight,
        create_one,
        create_from_reserve,
        short_life,
        create_private,
        import_numpy,
    )
