# SPDX-License-Identifier: MIT
"""Messages to another worker: the time there and back, and how many get there, by type and size.

The other side is an interpreter on another thread, a process (for multiprocessing) or a thread. The round
trips come one by one; of the throughput, the time of a message is given.
"""

import datetime
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from common.contenders import Link, links
from common.harness import Measure, Result, compare, main, spell

OBJECTS: dict[str, Any] = {
    "None": None,
    "int": 12345,
    "float": 1.5,
    "str of 100": "x" * 100,
    "tuple of 10 ints": tuple(range(10)),
    "list of 100 floats": [number / 7 for number in range(100)],
    "dict of 10": {f"key {number}": [number, str(number)] for number in range(10)},
    "datetime (pickled)": datetime.datetime(2020, 1, 1),
}
SIZES = {
    "10 B": 10,
    "1 KB": 1000,
    "64 KB": 64_000,
    "1 MB": 1_000_000,
    "16 MB": 16_000_000,
}

# One way: so many messages, but of large ones as many as have so many bytes in all, and at least a few.
MANY, MUCH, FEW = 2000, 64_000_000, 5


def round_trips(link: Link, obj: Any, number: int) -> float:
    """Seconds of one of so many round trips."""
    put, get = link
    put(number)
    start = time.perf_counter()
    for _ in range(number):
        put(obj)
        get()
    return (time.perf_counter() - start) / number


def one_way(link: Link, obj: Any, number: int) -> float:
    """Seconds of one of so many messages, until the last one has been received."""
    put, get = link
    put(-number)
    start = time.perf_counter()
    for _ in range(number):
        put(obj)
    get()
    return (time.perf_counter() - start) / number


def over_links(
    question: str,
    objects: dict[str, Any],
    measure: Callable[[Link, Any], Measure],
) -> list[Result]:
    """Ask for all links, and all the objects."""
    results = []
    with links() as (made, left_out):
        for name, obj in objects.items():
            sides = {each: measure(link, obj) for each, link in made.items()}
            results.append(compare(f"{question}: {name}", {}, 5, notes=left_out, sides=sides))
    return results


def of_bytes() -> dict[str, bytes]:
    """Bytes of all sizes."""
    return {f"{name} of bytes": bytes(size) for name, size in SIZES.items()}


def latency() -> list[Result]:
    """There and back."""
    objects = OBJECTS | of_bytes()
    return over_links(
        "round trip", objects, lambda link, obj: spell(partial(round_trips, link, obj))
    )


def throughput() -> list[Result]:
    """As fast as one side sends and the other one receives."""
    return over_links("one way", OBJECTS, lambda link, obj: partial(one_way, link, obj, MANY))


def throughput_of_bytes() -> list[Result]:
    """The same with bytes."""

    def measure(link: Link, obj: bytes) -> Measure:
        return partial(one_way, link, obj, max(FEW, min(MANY, MUCH // len(obj))))

    return over_links("one way", of_bytes(), measure)


if __name__ == "__main__":
    main(__doc__, latency, throughput, throughput_of_bytes)
