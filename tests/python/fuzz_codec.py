# SPDX-License-Identifier: MIT
"""Damage messages and receive them: whatever the bytes are, there is an object or an exception.

    python fuzz_codec.py [--seconds S] [--seed N]

Left out are pickles, and functions that are sent as code: who can write those can run code anyway.
"""

import argparse
import ctypes
import faulthandler
import gc
import math
import os.path
import random
import struct
import sys
import time
from collections.abc import Iterator
from typing import Any

import subinterpreters
from subinterpreters import SharedBuffer, create_channel, create_queue

# ---- the core, for messages as it sees them ----------------------------------------------------

NOBODY, TRY, BLOCK = -1, 0, 7


class Message(ctypes.Structure):
    _fields_ = (
        ("tag", ctypes.c_uint8),
        ("size", ctypes.c_uint8),
        ("note", ctypes.c_uint8),
        ("sender", ctypes.c_uint32),
        ("block", ctypes.c_void_p),
        ("rest", ctypes.c_char * 16),
    )


class Segment(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("free", ctypes.c_void_p),
        ("owner", ctypes.c_void_p),
        ("type", ctypes.c_char),
    )


core = ctypes.CDLL(subinterpreters.get_library())


def function(name: str, result: Any, *arguments: Any) -> Any:
    function = core[name]
    function.restype, function.argtypes = result, arguments
    return function


pointer, number, size = ctypes.c_void_p, ctypes.c_int64, ctypes.c_size_t
message = ctypes.POINTER(Message)
channel_lookup = function("subi_channel_lookup", pointer, number)
channel_drop = function("subi_channel_drop", None, pointer)
channel_send = function("subi_channel_send", ctypes.c_int, pointer, number, message, number)
channel_recv = function("subi_channel_recv", ctypes.c_int, pointer, number, message, number)
message_fini = function("subi_message_fini", None, message)
block_new = function("subi_block_new", pointer, size)
block_bytes = function("subi_block_bytes", pointer, pointer)
block_size = function("subi_block_size", size, pointer)
block_attach = function("subi_block_attach", ctypes.c_int, pointer, Segment)
block_segment = function("subi_block_segment", ctypes.POINTER(Segment), pointer, size)
block_segment_count = function("subi_block_segment_count", size, pointer)


# ---- what is sent ------------------------------------------------------------------------------

INSIDE, OUTSIDE = b"\x11", b"\xee"  # what is in buffers, and what is around them


def views(memory: bytearray) -> Iterator[memoryview]:
    whole = memoryview(memory)
    memory[1024:2048] = INSIDE * 1024
    part = whole[1024:2048]
    yield part
    yield part[:0]
    yield part.toreadonly()[7:8]
    yield part[::-3]
    yield part[1000:8:-8]
    for format in "bHiqdP?":
        yield part.cast(format)
    yield part.cast("q", (4, 8, 4))
    yield part.cast("q")[::-2]
    yield memoryview((ctypes.c_int * 3 * 4).from_buffer(memory, 1024))


def samples(memory: bytearray) -> Iterator[Any]:
    recv, send = create_channel()
    shared = SharedBuffer(64)
    memoryview(shared)[:] = INSIDE * 64
    loop: list[Any] = [1, "two"]
    loop.append((loop, {"loop": loop}))
    text = "x" * 100
    yield [None, True, False, 0, 63, 64, -1, 2**31, -(2**63), 2**64, -(2**200), 1.5, 2j]
    yield ["", "a", "short", text, "ä" * 70, "ж" * 70, "\U0001f40d" * 70, b"", b"x" * 300, text]
    yield {1: {2: [3, (4, {5}, frozenset({6, (7, "8")}))]}, "key": [[]] * 3, (): {}}
    yield [{"name": str(n), "value": n, "more": {"x": 1.0}} for n in range(5)]
    yield [{str(n): n for n in range(k)} for k in (1, 31, 32, 33, 40)]
    yield loop
    yield [loop, loop, [loop] * 5, {"a": loop, "b": loop}]
    yield [[recv, send], {"queue": create_queue()}, recv, subinterpreters.Lock()]
    yield [shared, memoryview(shared)[8:24], memoryview(shared)[::-2], (shared, {"s": shared})]
    yield [os.path.join, len, dict, {"f": os.path.join}]
    yield [os.path.join, math.sqrt, random.Random]  # see runs_code
    for view in views(memory):
        yield view
        yield {"view": [view, view], "other": view[:]}


class Sample:
    """A message that is kept, since what is made of it has its segments."""

    def __init__(self, channel: int) -> None:
        self.message = Message()
        assert channel_recv(channel, NOBODY, self.message, TRY) == 0
        assert self.message.tag == BLOCK
        block = self.message.block
        self.data = ctypes.string_at(block_bytes(block), block_size(block))

    def send(self, channel: int, data: bytes) -> None:
        block = block_new(len(data))
        for i in range(block_segment_count(self.message.block)):
            segment = Segment.from_buffer_copy(block_segment(self.message.block, i).contents)
            segment.free = None  # it stays the sample's
            assert block_attach(block, segment) == 0
        ctypes.memmove(block_bytes(block), data, len(data))
        assert channel_send(channel, NOBODY, Message(tag=BLOCK, block=block), TRY) == 0

    def close(self) -> None:
        message_fini(self.message)


# A function that is described by the tuple that it is in.
FATAL_ONCE = (b"R(\x01gr\x00", b"R(\x02Ngr\x00", b"R(\x05Ngr\x00")

VIEW = b"Rh\x00"  # what a message begins with that is a view
LAYOUT = "PnnNii"  # of a buffer: see buffer_layout


def far_and_empty(data: bytes) -> bytes:
    """A message with a view, changed to one of no items, whose steps would be too large to be numbers."""
    memory = struct.unpack_from(LAYOUT, data, len(VIEW))[0]
    layout = struct.pack(LAYOUT, memory, 0, 1, 2, 3, 1)
    return VIEW + layout + struct.pack("6n", 0, 2**40, 2**40, 0, 0, 0) + b"B\0"


# ---- the damage --------------------------------------------------------------------------------

TAGS = b"NFTjiIfcbs([<>{KDRrhg\x80\x81\xbf\xc0\xff\x00\x01\x7f"


def damage_once(rng: random.Random, data: bytearray, others: list[Sample]) -> None:
    at = rng.randrange(len(data) + 1)
    match rng.randrange(8):
        case 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        case 1:
            data[at : at + 1] = bytes([rng.choice(TAGS)])
        case 2:
            data[at:at] = rng.randbytes(rng.randrange(1, 9))
        case 3:
            del data[at : at + rng.randrange(1, 9)]
        case 4:
            del data[at:]
        case 5:  # a number of a layout, if it is one
            value = int.from_bytes(data[at : at + 8], "little")
            value += rng.choice((1, -1, 8, -8, 100, -1000, 2**31, 2**62, -value, -value - 1))
            data[at : at + 8] = (value % 2**64).to_bytes(8, "little")
        case 6:
            other = rng.choice(others).data
            start = rng.randrange(len(other))
            data[at:at] = other[start : start + rng.randrange(1, 40)]
        case 7:
            data[at:at] = data[at : at + rng.randrange(1, 40)]


def damaged(rng: random.Random, data: bytes, others: list[Sample]) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        damage_once(rng, changed, others)
    return bytes(changed)


def runs_code(data: bytes) -> bool:
    return data[:1] == b"P" or (b"g" in data and b"b" in data)


# ---- the check ---------------------------------------------------------------------------------


def is_large(view: memoryview) -> bool:
    """The same item again and again, or items of no bytes, or no items, many times."""
    return max(view.nbytes, math.prod(n for n in view.shape if n > 0)) > 2**20


def look_at(obj: Any, seen: set[int]) -> None:
    if id(obj) in seen:
        return
    seen.add(id(obj))
    if isinstance(obj, memoryview):
        if is_large(obj):
            return
        assert OUTSIDE not in obj.tobytes(), "memory that was not lent"
        try:
            obj.tolist()
        except (NotImplementedError, ValueError):  # of the format
            pass
    elif isinstance(obj, dict):
        for each in obj.items():
            look_at(each, seen)
    elif isinstance(obj, (list, tuple, set, frozenset)):
        for each in obj:
            look_at(each, seen)


# What leads to other objects: which of them are one and the same is kept.
COMPOUND = (list, tuple, dict, set, frozenset)


def essence(obj: Any) -> Any:
    """What does not depend on where an object is, or on the order in a set."""
    if isinstance(obj, (float, complex)):
        parts = (obj,) if isinstance(obj, float) else (obj.real, obj.imag)
        return type(obj).__name__, struct.pack(f"{len(parts)}d", *parts)
    if isinstance(obj, tuple):
        return "tuple", [essence(each) for each in obj]
    if isinstance(obj, (set, frozenset)):
        return type(obj).__name__, sorted(repr(essence(each)) for each in obj)
    if isinstance(obj, memoryview):
        layout = obj.itemsize, obj.shape, obj.strides, obj.readonly
        return "memoryview", *layout, None if is_large(obj) else obj.tobytes()
    if isinstance(obj, int):
        return type(obj).__name__, hex(obj)
    told = isinstance(obj, (str, bytes, type(None))) or type(obj).__module__.startswith("subint")
    return type(obj).__name__, repr(
        obj
    ) if told else None  # pickle may have made another of its kind


def assert_same(first: Any, second: Any) -> None:
    """As far as what is in sets can be told apart."""
    to_second: dict[int, int] = {}
    to_first: dict[int, int] = {}
    left = [(first, second)]
    while left:
        a, b = left.pop()
        assert type(a) is type(b), (a, b)
        if not isinstance(a, COMPOUND):
            plain = isinstance(a, (int, str, bytes))
            assert a == b if plain else essence(a) == essence(b), (a, b)
            continue
        if id(a) in to_second or id(b) in to_first:
            assert (to_second.get(id(a)), to_first.get(id(b))) == (id(b), id(a)), "not one object"
            continue
        to_second[id(a)], to_first[id(b)] = id(b), id(a)
        assert len(a) == len(b), (a, b)
        if isinstance(a, (list, tuple)):
            left.extend(zip(a, b, strict=True))
        elif isinstance(a, dict):
            left.extend(zip(a, b, strict=True))
            left.extend(zip(a.values(), b.values(), strict=True))
        else:
            assert essence(a) == essence(b), (a, b)


def send_again(obj: Any, recv: Any, send: Any) -> None:
    """What was received and can be sent is received as the same."""
    try:
        send.send(obj)
    except Exception:  # noqa: BLE001
        return
    try:
        assert_same(obj, recv.recv_nowait())
    except RecursionError:
        pass


def receive(recv: Any, send: Any) -> bool:
    """Whether it was an object, and not an exception, of whatever type."""
    try:
        obj = recv.recv_nowait()
    except Exception:  # noqa: BLE001
        return False
    look_at(obj, set())
    send_again(obj, recv, send)
    return True


def wait_until_free(memory: bytearray) -> None:
    """BufferError: somebody goes on having a view. Garbage that leads to other garbage takes a while."""
    end = time.monotonic() + 10
    while True:
        gc.collect()
        try:
            memory.append(0)
        except BufferError:
            if time.monotonic() > end:
                raise
        else:
            return


def run(seconds: float, seed: int) -> tuple[int, int]:
    """Return how many messages there were, and of how many an object was made."""
    rng = random.Random(seed)
    memory = bytearray(OUTSIDE * 4096)
    recv, send = create_channel()
    channel = channel_lookup(recv.id)
    kept = []
    for obj in samples(memory):
        send.send(obj)
        kept.append(Sample(channel))
    del obj
    for data in FATAL_ONCE:
        kept[0].send(channel, data)
        receive(recv, send)
    lent = next(each for each in kept if each.data.startswith(VIEW))
    lent.send(channel, far_and_empty(lent.data))
    assert receive(recv, send)
    count = made = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sample = rng.choice(kept)
        data = damaged(rng, sample.data, kept)
        if runs_code(data):
            continue
        sample.send(channel, data)
        count += 1
        made += receive(recv, send)
    for sample in kept:
        sample.close()
    channel_drop(channel)
    del kept, sample
    wait_until_free(memory)
    return count, made


def main() -> None:
    faulthandler.enable()
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    sys.setrecursionlimit(300)
    count, made = run(options.seconds, options.seed)
    print(f"{count} messages, {made} objects")
    assert count > made > 0


if __name__ == "__main__":
    main()
