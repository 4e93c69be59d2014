# SPDX-License-Identifier: MIT
"""Sending and receiving on one thread, against concurrent.interpreters and pickle."""

import pickle
from typing import Any

from common.contenders import need_stdlib
from common.harness import Result, compare_two, main, per_call

import subinterpreters


def put_get_seconds(queue: Any, obj: object, number: int) -> float:
    """Seconds of a put and a get."""

    def put_get() -> None:
        queue.put(obj)
        queue.get()

    return per_call(put_get, number)


def send_recv() -> Result:
    """send + recv of a small int on one thread, against put + get."""
    recv, send = subinterpreters.create_channel()
    queue = need_stdlib().create_queue()

    def channel() -> None:
        send.send(1)
        recv.recv()

    def put_get() -> None:
        queue.put(1)
        queue.get()

    return compare_two(
        "send + recv of an int, one thread",
        1,
        subinterpreters=lambda: per_call(channel, 20000),
        stdlib=lambda: per_call(put_get, 5000),
    )


def compare_queues(
    question: str, wanted: float, obj: object, number: int, rounds: int = 7
) -> Result:
    """A put and a get of obj, one thread."""
    ours, theirs = subinterpreters.create_queue(), need_stdlib().create_queue()
    return compare_two(
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
    queue = need_stdlib().create_queue()

    def lend() -> None:
        send.send_buffer(MANY_BYTES)
        recv.recv()

    return compare_two(
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

    return compare_two(
        "queue: put + get of these, against pickle's dumps + loads",
        1 / 2,
        rounds=31,  # short ones: the machine's speed changes within a second
        subinterpreters=lambda: put_get_seconds(queue, obj, 10),
        pickle=lambda: per_call(by_pickle, 10),
    )


if __name__ == "__main__":
    main(
        __doc__,
        send_recv,
        queue_put_get,
        queue_records,
        records_and_pickle,
        queue_bytes,
        lent_bytes,
    )
