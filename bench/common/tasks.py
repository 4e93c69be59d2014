# SPDX-License-Identifier: MIT
"""What the workers do: all kinds of them import this, so that it imports little."""

import os
import time


def same(obj):
    """Return what is given."""
    return obj


def compute(count: int) -> int:
    """Keep a processor busy."""
    total = 0
    for number in range(count):
        total += number * number
    return total


def last_of(array) -> float:
    """Return the last number of an array that has come in whatever way."""
    return memoryview(array).cast("B").cast("d")[-1]


def last_of_numpy(array) -> float:
    """The same with numpy, which makes an array of what is lent, without a copy."""
    import numpy

    return float(numpy.asarray(array)[-1])


def stay(folder: str, name: int) -> None:
    """Say that this worker is there, and keep it until all may go."""
    open(f"{folder}/{name}", "w").close()
    while not os.path.exists(f"{folder}/go"):
        time.sleep(0.02)


def serve(get, put) -> None:
    """Do what the other side of a link asks for, until it sends None.

    A positive number asks for so many messages to be sent back, a negative one for so many to be swallowed.
    """
    while (number := get()) is not None:
        if number > 0:
            for _ in range(number):
                put(get())
        else:
            for _ in range(-number):
                get()
            put(True)
