# SPDX-License-Identifier: MIT
"""The questions: ours against the standard library's concurrent.interpreters, in one process."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent import interpreters as stdlib
from contextlib import contextmanager
from types import ModuleType

from harness import Result, compare

import subinterpreters
from subinterpreters import _install_xxsubinterpreters

_install_xxsubinterpreters()

import _xxsubinterpreters as legacy


def per_call(function: Callable[[], object], number: int) -> float:
    """Seconds a call, over `number` calls."""
    start = time.perf_counter()
    for _ in range(number):
        function()
    return (time.perf_counter() - start) / number


def run_string() -> Result:
    """run_string(id, "pass") again and again in one interpreter, against exec("pass")."""
    theirs = stdlib.create()
    ours = legacy.create()
    try:
        return compare(
            'run "pass"',
            1 / 10,
            subinterpreters=lambda: per_call(lambda: legacy.run_string(ours, "pass"), 2000),
            stdlib=lambda: per_call(lambda: theirs.exec("pass"), 200),
        )
    finally:
        legacy.destroy(ours)
        theirs.close()


ECHO = """
for obj in iter(recv.recv, None):
    send.send(obj)
"""

ECHO_QUEUE = """
while (obj := there.get()) is not None:
    back.put(obj)
"""


def round_trip() -> Result:
    """A small int to an interpreter on another thread and back."""
    recv_there, send_there = subinterpreters.create_channel()
    recv_back, send_back = subinterpreters.create_channel()
    there, back = stdlib.create_queue(), stdlib.create_queue()
    ours, theirs = subinterpreters.create(), stdlib.create()
    ours.prepare_main(recv=recv_there, send=send_back)
    theirs.prepare_main(there=there, back=back)
    threads = [
        threading.Thread(target=ours.exec, args=(ECHO,)),
        threading.Thread(target=theirs.exec, args=(ECHO_QUEUE,)),
    ]
    for thread in threads:
        thread.start()

    def channel() -> None:
        send_there.send(1)
        recv_back.recv()

    def queue() -> None:
        there.put(1)
        back.get()

    try:
        return compare(
            "round trip between two interpreters",
            1 / 500,
            rounds=5,
            subinterpreters=lambda: per_call(channel, 5000),
            stdlib=lambda: per_call(queue, 20),
        )
    finally:
        send_there.send(None)
        there.put(None)
        for thread in threads:
            thread.join()
        ours.close()
        theirs.close()


def send_recv() -> Result:
    """send + recv of a small int on one thread, against put + get."""
    recv, send = subinterpreters.create_channel()
    queue = stdlib.create_queue()

    def channel() -> None:
        send.send(1)
        recv.recv()

    def put_get() -> None:
        queue.put(1)
        queue.get()

    return compare(
        "send + recv of an int, one thread",
        1,
        subinterpreters=lambda: per_call(channel, 20000),
        stdlib=lambda: per_call(put_get, 5000),
    )


def uncontended_lock() -> Result:
    """acquire + release of a lock that nobody else wants, against threading.Lock."""

    def pair(lock: subinterpreters.Lock | threading.Lock) -> Callable[[], None]:
        acquire, release = lock.acquire, lock.release

        def both() -> None:
            acquire()
            release()

        return both

    ours, theirs = pair(subinterpreters.Lock()), pair(threading.Lock())
    return compare(
        "acquire + release of a free lock",
        2,
        subinterpreters=lambda: per_call(ours, 50000),
        stdlib=lambda: per_call(theirs, 50000),
    )


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
        return compare("create 8 interpreters", 0.7, subinterpreters=ours, stdlib=theirs)


def timed_create(module: ModuleType) -> float:
    """Seconds of one creation."""
    start = time.perf_counter()
    interpreter = module.create()
    took = time.perf_counter() - start
    interpreter.close()
    return took


def compare_modules(question: str, wanted: float, seconds: Callable[[ModuleType], float]) -> Result:
    """What takes some milliseconds and is the same code with either module."""
    return compare(
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
    return compare_modules("create one that was used before", 1 / 20, timed_create)


def short_life() -> Result:
    """Create, run a script that imports socket, close."""

    def live(module: ModuleType) -> float:
        start = time.perf_counter()
        interpreter = module.create()
        interpreter.exec("import socket")
        interpreter.close()
        return time.perf_counter() - start

    return compare_modules("create, import socket, close", 1 / 2, live)


QUESTIONS = [
    run_string,
    round_trip,
    send_recv,
    uncontended_lock,
    create_eight,
    create_one,
    create_from_reserve,
    short_life,
]
