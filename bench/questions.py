# SPDX-License-Identifier: MIT
"""The questions: ours against the standard library's concurrent.interpreters, in one process."""

import itertools
import pickle
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import interpreters as stdlib
from contextlib import contextmanager
from types import ModuleType
from typing import Any

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


def hot(function: Callable[[], object], number: int) -> float:
    """Seconds a call, when it has been called for so long that its threads have a processor each."""
    end = time.perf_counter() + 0.2
    while time.perf_counter() < end:
        function()
    return per_call(function, number)


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
            subinterpreters=lambda: hot(channel, 5000),
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


@contextmanager
def one_of_each() -> Iterator[tuple[Any, Any]]:
    """An interpreter of ours, and one of theirs."""
    ours, theirs = subinterpreters.create(), stdlib.create()
    try:
        yield ours, theirs
    finally:
        ours.close()
        theirs.close()


def exec_pass() -> Result:
    """exec("pass") again and again in one interpreter: ours compiles it once."""
    with one_of_each() as (ours, theirs):
        return compare(
            'exec("pass")',
            1 / 50,
            subinterpreters=lambda: per_call(lambda: ours.exec("pass"), 2000),
            stdlib=lambda: per_call(lambda: theirs.exec("pass"), 200),
        )


def exec_new_text() -> Result:
    """The same with another text each time, so that it has to be compiled."""
    numbers = itertools.count()
    with one_of_each() as (ours, theirs):
        return compare(
            'exec(f"x = {number}"), a new text each time',
            1 / 5,
            subinterpreters=lambda: per_call(lambda: ours.exec(f"x = {next(numbers)}"), 2000),
            stdlib=lambda: per_call(lambda: theirs.exec(f"x = {next(numbers)}"), 200),
        )


def double(number: int) -> int:
    """Be called."""
    return 2 * number


def call() -> Result:
    """call(f, 1) again and again in one interpreter."""
    with one_of_each() as (ours, theirs):
        return compare(
            "call(f, 1)",
            1 / 50,
            subinterpreters=lambda: per_call(lambda: ours.call(double, 1), 2000),
            stdlib=lambda: per_call(lambda: theirs.call(double, 1), 200),
        )


def put_get_seconds(queue: Any, obj: object, number: int) -> float:
    """Seconds of a put and a get."""

    def put_get() -> None:
        queue.put(obj)
        queue.get()

    return per_call(put_get, number)


@contextmanager
def echoes() -> Iterator[list[Callable[[], None]]]:
    """For ours and theirs: send a small int to an interpreter on another thread, and get it back."""

    def trip(there: Any, back: Any) -> Callable[[], None]:
        def both() -> None:
            there.put(1)
            back.get()

        return both

    with one_of_each() as (ours, theirs):
        queues, threads = [], []
        for module, interpreter in ((subinterpreters, ours), (stdlib, theirs)):
            there, back = module.create_queue(), module.create_queue()
            interpreter.prepare_main(there=there, back=back)
            queues.append((there, back))
            threads.append(threading.Thread(target=interpreter.exec, args=(ECHO_QUEUE,)))
            threads[-1].start()
        try:
            yield [trip(*pair) for pair in queues]
        finally:
            for (there, _), thread in zip(queues, threads, strict=True):
                there.put(None)
                thread.join()


def queue_round_trip() -> Result:
    """Through a queue and back through another, again and again: the threads spin."""
    with echoes() as (ours, theirs):
        return compare(
            "round trip through two queues",
            1 / 1000,
            rounds=5,
            subinterpreters=lambda: hot(ours, 5000),
            stdlib=lambda: per_call(theirs, 20),
        )


# Prints the seconds of a round trip of a module's queues. Arguments: the module, how many trips.
ON_ONE_PROCESSOR = f"""
import os, sys, threading, time
from importlib import import_module
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
module, number = import_module(sys.argv[1]), int(sys.argv[2])
there, back, interpreter = module.create_queue(), module.create_queue(), module.create()
interpreter.prepare_main(there=there, back=back)
thread = threading.Thread(target=interpreter.exec, args=({ECHO_QUEUE!r},))
thread.start()
start = time.perf_counter()
for _ in range(number):
    there.put(1)
    back.get()
print((time.perf_counter() - start) / number)
there.put(None)
thread.join()
interpreter.close()
"""


def on_one_processor(module: str, number: int) -> float:
    """Seconds of a round trip when each wait is a sleep."""
    command = [sys.executable, "-P", "-c", ON_ONE_PROCESSOR, module, str(number)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def queue_round_trip_parked() -> Result:
    """The same on one processor, where nobody spins."""
    return compare(
        "round trip through two queues, one processor",
        1 / 500,
        rounds=5,
        subinterpreters=lambda: on_one_processor("subinterpreters", 5000),
        stdlib=lambda: on_one_processor("concurrent.interpreters", 20),
    )


def seconds_after_rest(trip: Callable[[], None], number: int) -> float:
    """Seconds of a call that comes when the other side has been waiting for a while."""
    seconds = []
    for _ in range(number):
        time.sleep(0.005)
        seconds.append(per_call(trip, 1))
    return statistics.median(seconds)


def queue_round_trip_after_rest() -> Result:
    """Once in a while: the other thread sleeps, and its processor, too."""
    with echoes() as (ours, theirs):
        return compare(
            "round trip through two queues, once in 5 ms",
            1 / 50,
            rounds=5,
            subinterpreters=lambda: seconds_after_rest(ours, 50),
            stdlib=lambda: seconds_after_rest(theirs, 10),
        )


def compare_queues(
    question: str, wanted: float, obj: object, number: int, rounds: int = 7
) -> Result:
    """A put and a get of obj, one thread."""
    ours, theirs = subinterpreters.create_queue(), stdlib.create_queue()
    return compare(
        question,
        wanted,
        rounds=rounds,
        subinterpreters=lambda: put_get_seconds(ours, obj, number),
        stdlib=lambda: put_get_seconds(theirs, obj, number),
    )


def queue_put_get() -> Result:
    """A small int."""
    return compare_queues("queue: put + get of an int, one thread", 1 / 4, 1, 5000)


MANY_BYTES = bytes(64_000_000)


def queue_bytes() -> Result:
    """64 MB of bytes: the receiver makes a copy, as with the standard library."""
    return compare_queues("queue: put + get of 64 MB of bytes", 1 / 2, MANY_BYTES, 1)


def lent_bytes() -> Result:
    """The same bytes, lent: no copy."""
    recv, send = subinterpreters.create_channel()
    queue = stdlib.create_queue()

    def lend() -> None:
        send.send_buffer(MANY_BYTES)
        recv.recv()

    return compare(
        "send_buffer + recv of 64 MB of bytes, against put + get",
        1 / 100,
        subinterpreters=lambda: per_call(lend, 1000),
        stdlib=lambda: put_get_seconds(queue, MANY_BYTES, 1),
    )


def records() -> list[dict[str, Any]]:
    """What a JSON file may have: 1,000 dicts."""
    return [
        {
            "id": number,
            "name": f"name {number}",
            "price": number / 7,
            "tags": ["a", "b", str(number)],
            "owner": {"email": f"{number}@example.com", "active": number % 2 == 0, "note": None},
        }
        for number in range(1000)
    ]


def queue_records() -> Result:
    """Nested dicts and lists."""
    return compare_queues("queue: put + get of 1,000 nested dicts", 1 / 3, records(), 5, rounds=31)


def records_and_pickle() -> Result:
    """The same, against pickle alone, which goes nowhere."""
    queue, obj = subinterpreters.create_queue(), records()

    def by_pickle() -> None:
        pickle.loads(pickle.dumps(obj, pickle.HIGHEST_PROTOCOL))

    return compare(
        "queue: put + get of these, against pickle's dumps + loads",
        1 / 2,
        rounds=31,  # short ones: the machine's speed changes within a second
        subinterpreters=lambda: put_get_seconds(queue, obj, 10),
        pickle=lambda: per_call(by_pickle, 10),
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
    exec_pass,
    exec_new_text,
    call,
    round_trip,
    send_recv,
    queue_round_trip,
    queue_round_trip_parked,
    queue_round_trip_after_rest,
    queue_put_get,
    queue_records,
    records_and_pickle,
    queue_bytes,
    lent_bytes,
    uncontended_lock,
    create_eight,
    create_one,
    create_from_reserve,
    short_life,
]
