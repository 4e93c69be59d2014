# SPDX-License-Identifier: MIT
"""A number to an interpreter on another thread and back, against concurrent.interpreters."""

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from common.contenders import need_stdlib
from common.harness import Result, compare_two, main, per_call

import subinterpreters


@contextmanager
def one_of_each() -> Iterator[tuple[Any, Any]]:
    """An interpreter of ours, and one of theirs."""
    ours, theirs = subinterpreters.create(), need_stdlib().create()
    try:
        yield ours, theirs
    finally:
        ours.close()
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
    stdlib = need_stdlib()
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
        return compare_two(
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


@contextmanager
def echoes() -> Iterator[list[Callable[[], None]]]:
    """For ours and theirs: send a small int to an interpreter on another thread, and get it back."""

    def trip(there: Any, back: Any) -> Callable[[], None]:
        def both() -> None:
            there.put(1)
            back.get()

        return both

    stdlib = need_stdlib()
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
        return compare_two(
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
    need_stdlib()
    return compare_two(
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
        return compare_two(
            "round trip through two queues, once in 5 ms",
            1 / 50,
            rounds=5,
            subinterpreters=lambda: seconds_after_rest(ours, 50),
            stdlib=lambda: seconds_after_rest(theirs, 10),
        )


if __name__ == "__main__":
    main(
        __doc__, round_trip, queue_round_trip, queue_round_trip_parked, queue_round_trip_after_rest
    )
