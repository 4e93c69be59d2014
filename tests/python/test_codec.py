# SPDX-License-Identifier: MIT
"""Whatever can be sent arrives as it was, and what cannot is refused."""

import enum
import gc
import math
import mmap
import operator
import re
import sys
import threading
import time
from collections import Counter, OrderedDict, deque, namedtuple
from datetime import date
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Address
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import (
    KINDS,
    LONG,
    WAIT,
    Echo,
    Lent,
    Node,
    Reduced,
    Unsendable,
    is_free,
    run_script,
)

from subinterpreters import NotShareableError, create, create_channel, select

# ---- single values -------------------------------------------------------------------------

characters = st.characters(exclude_categories=())  # lone surrogates too
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**4000), 2**4000)
    | st.integers(-(2**65), 2**65)
    | st.floats()
    | st.complex_numbers()
    | st.text(characters)
    | st.text(st.characters(max_codepoint=0x7F))
    | st.text(st.characters(max_codepoint=0xFF))
    | st.binary()
)
keys = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(characters) | st.binary(),
    lambda items: st.lists(items).map(tuple) | st.frozensets(items),
    max_leaves=5,
)
values = st.recursive(
    scalars | st.sets(keys) | st.frozensets(keys),
    lambda items: (
        st.lists(items) | st.lists(items).map(tuple) | st.dictionaries(keys, items)
        | items.map(lambda item: [item, (item, {"again": item}), item])
    ),
)  # fmt: skip
edges = [
    *(sign * 2**bits + more for bits in (31, 62, 63, 64, 4000) for sign in (1, -1)
      for more in (-1, 0, 1)),
    *(math.inf, -math.inf, math.nan, -0.0, 5e-324, sys.float_info.max),
    *(character * size for character in ("a", "\xff", "\u20ac", "\U0001f40d", "\udc80", "\0")
      for size in (1, 23, 24, 25, 5000)),
    *(bytes(size) for size in (1, 23, 24, 25, 5000)),
    *("", b"", (), ((),), (None,) * 5000, [], {}, set(), frozenset(), complex(-0.0, math.nan)),
]  # fmt: skip


def same(a: Any, b: Any, met: dict[int, Any] | None = None) -> bool:
    """Whether two values cannot be told apart: nan, -0.0, True; and which parts are one object."""
    met = {} if met is None else met
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, dict, set)):
        if id(a) in met or id(b) in met:
            return met.get(id(a)) is b and met.get(id(b)) is a
        met[id(a)], met[id(b)] = b, a
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y, met) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return same(list(a), list(b), met) and same([*a.values()], [*b.values()], met)
    if isinstance(a, (set, frozenset)):
        return a == b and sorted(map(describe, a)) == sorted(map(describe, b))
    return repr(a) == repr(b)


def describe(obj: Any) -> str:
    """Return a text that is the same for equal values of the same types."""
    if isinstance(obj, tuple):
        return f"({', '.join(map(describe, obj))})"
    if isinstance(obj, frozenset):
        return f"<{', '.join(sorted(map(describe, obj)))}>"
    return repr(obj)


@given(values)
@settings(deadline=None, max_examples=300)
def test_any_value(echo: Echo, obj: Any) -> None:
    assert same(echo(obj), obj)


@given(st.text(characters, min_size=1))
@settings(deadline=None)
@example("a")
@example("\xe9")
def test_a_str_is_as_good_as_new(echo: Echo, text: str) -> None:
    got = echo(text)
    assert hash(got) == hash(text)
    assert {text: 1}[got] == 1
    assert got.isascii() == text.isascii()
    assert got + "\U0001f40d" == text + "\U0001f40d"
    assert sys.getsizeof(got) <= sys.getsizeof(text)
    assert sys.intern(got) == text


@pytest.mark.parametrize("obj", edges, ids=lambda obj: f"{type(obj).__name__}")
def test_edges(echo: Echo, obj: Any) -> None:
    assert same(echo(obj), obj)
    assert same(echo((obj, obj)), (obj, obj))


@pytest.mark.parametrize("size", [2**16, 2**20, 2**24 + 1])
def test_large_values(echo: Echo, size: int) -> None:
    for obj in bytes(range(256)) * (size // 256), "\u20ac" * size, "a" * size, 1 << size:
        assert echo(obj) == obj


@pytest.mark.parametrize("depth", [1, 10, 100])
def test_nested(echo: Echo, depth: int) -> None:
    obj: Any = (depth,)
    for _ in range(depth):
        obj = (obj, None)
    assert echo(obj) == obj


def test_nested_too_deeply() -> None:
    recv, send = create_channel()
    obj: Any = ()
    for _ in range(1_000_000):
        obj = (obj,)
    with pytest.raises(RecursionError, match="while sending an object to another interpreter"):
        send.send(obj)
    send.send(1)
    assert recv.recv() == 1


# ---- which objects are one and the same ----------------------------------------------------


def test_an_object_in_itself(echo: Echo) -> None:
    items: list[Any] = [1]
    items.append(items)
    got = echo(items)
    assert got[0] == 1 and got[1] is got
    mapping: dict[str, Any] = {}
    mapping["self"] = mapping
    got = echo(mapping)
    assert got["self"] is got
    pair: tuple[Any, ...] = ([], {})
    pair[0].append(pair)
    pair[1]["pair"] = pair
    got = echo(pair)
    assert got[0][0] is got and got[1]["pair"] is got


def test_an_object_in_two_places(echo: Echo) -> None:
    recv, send = create_channel()
    a, b, c = [1], {2}, frozenset({3})
    buffer = bytearray(b"abc")
    key, text = (1, "key"), "x" * 1000
    got = echo([a, b, c, buffer, recv, key, text, (a, {"a": a}), b, {c}, buffer, recv, {key}, text])
    assert got[0] is got[7][0] is got[7][1]["a"] and got[1] is got[8]
    assert got[2] is next(iter(got[9])) and got[3] is got[10] and got[4] is got[11]
    assert got[5] is next(iter(got[12])) and got[6] is got[13]
    assert got[:3] == [a, b, c] and got[3] == buffer and got[4] == recv and got[5:7] == [key, text]
    got[3][0] = 0
    assert buffer[0] == 0
    del got, send
    echo(None)  # or the variable there keeps the buffer and the channel


def test_equal_objects_stay_apart(echo: Echo) -> None:
    got = echo([[1], [1], {"a": {}}, {"a": {}}])
    assert got[0] is not got[1] and got[2]["a"] is not got[3]["a"]


def test_what_is_often_there_takes_little_room() -> None:
    recv, send = create_channel()
    text = "x" * 1_000_000
    send.send([text] * 10_000)  # 10 GB otherwise
    got = recv.recv()
    assert got[0] == text and all(each is got[0] for each in got)


@pytest.mark.parametrize("size", [1, 63, 64, 1000])
def test_texts_in_many_places(echo: Echo, size: int) -> None:
    text, other = "k" * size, "v" * size
    obj = [{text: other}, {text: text, other: other}, text, {text}, {(text, other): [text]}]
    assert echo(obj) == obj and echo({text: text}) == {text: text}


def test_order_of_a_dict(echo: Echo) -> None:
    obj = {number * 7919 % 1000: None for number in range(1000)}
    assert list(echo(obj)) == list(obj)


records = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "id", "name", "\u20ac", "k" * 70]), scalars)
)


@given(records, st.permutations(range(8)))
@settings(deadline=None)
def test_records(echo: Echo, some: list[Any], order: list[int]) -> None:
    obj = (some * 8)[:: order[0] + 1]
    got = echo(obj)
    assert same(got, obj) and [list(each) for each in got] == [list(each) for each in obj]


@pytest.mark.parametrize("count", [1, 5, 6, 31, 32, 33, 100])
def test_records_with_many_keys(echo: Echo, count: int) -> None:
    keys = [f"key {number}" for number in range(count)]
    obj = [{key: (key, row) for key in keys} for row in range(3)]
    got = echo(obj)
    assert got == obj and all(list(each) == keys for each in got)
    got[2]["more"] = got[1].pop(keys[0])  # they are independent
    assert got[0] == obj[0] and len(got[2]) == count + 1


def test_records_with_nothing_in_them(echo: Echo) -> None:
    records = [
        {"a": first, "b": None, "c": [first, None]} for first in (None, 1, None, {"a": None})
    ]
    assert echo(records) == records


# Sends and receives in a new process: a module that is imported while a message is received.
COLLECTOR = r"""
import gc, pathlib, sys, tempfile
import subinterpreters as si

recv, send = si.create_channel()
many = [{"a": number, "b": [number]} for number in range(5000)]
for enabled in (True, False):
    (gc.enable if enabled else gc.disable)()
    send.send(many)
    assert recv.recv() == many and gc.isenabled() is enabled
gc.enable()
with tempfile.TemporaryDirectory() as folder:
    sys.path.insert(0, folder)
    pathlib.Path(folder, "while_it_is_received.py").write_text(
        "import gc\nenabled = gc.isenabled()\ndef function(): pass\n"
    )
    import while_it_is_received
    send.send([many, while_it_is_received.function])
    del sys.modules["while_it_is_received"]
    recv.recv()
    import while_it_is_received
    assert while_it_is_received.enabled
assert gc.isenabled()
collections = []
gc.callbacks.append(lambda phase, info: collections.append(phase))
gc.collect()
collections.clear()
send.send(many)
assert not collections
big = recv.recv()
del big
assert not collections
send.send([send, many])
recv.recv()
assert collections
before = gc.get_stats()[0]["collections"]
kept = []
for _ in range(10):
    send.send(many)
    kept.append(recv.recv())
    [[] for _ in range(10)]
assert gc.get_stats()[0]["collections"] > before
"""


def test_the_collector_is_as_before() -> None:
    run_script(COLLECTOR)


def test_more_shapes_than_are_remembered(echo: Echo) -> None:
    shapes = [{f"{n}": n, "same": [n]} for n in range(200)]
    obj = [dict(each) for _ in range(3) for each in shapes]
    assert echo(obj) == obj


def test_records_in_records(echo: Echo) -> None:
    obj: dict[str, Any] = {"left": None, "right": None}
    for n in range(50):
        obj = {"left": obj, "right": {"left": n, "right": {f"{n}": n}}}
    got = echo({"left": obj, "right": obj})
    assert got["left"] is got["right"] and got["left"] == obj
    same_keys: dict[str, Any] = {"a": 1, "self": None}
    rows = [{"a": 1, "self": same_keys}, same_keys, {"a": 2, "self": 3}]
    same_keys["self"] = rows[0]
    got = echo(rows)
    assert got[0]["self"] is got[1] and got[1]["self"] is got[0] and got[2] == rows[2]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.12 has __buffer__")
def test_a_record_that_is_changed_meanwhile() -> None:
    class Part:
        def __buffer__(self, flags: int) -> memoryview:
            obj["last"] = "other"
            obj["first"] = Part
            return memoryview(b"abc")

    recv, send = create_channel()
    obj: dict[str, Any] = {"first": Part(), "middle": [1], "last": ["one"]}
    send.send([obj, 1])
    assert recv.recv() == [{"first": b"abc", "middle": [1], "last": ["one"]}, 1]


# ---- what changes while it is sent ---------------------------------------------------------


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.12 has __buffer__")
@pytest.mark.parametrize(
    ("make", "change"),
    [
        (lambda part: [part, 1, 2], list.clear),
        (lambda part: [part, 1, 2], list.pop),
        (lambda part: [part, 1, 2], lambda items: items.append(3)),
        (lambda part: {"part": part, 1: 1}, dict.clear),
        (lambda part: {"part": part, 1: 1}, lambda mapping: mapping.update({2: 2})),
        (lambda part: {part, 1}, set.clear),
        (lambda part: {part, 1}, lambda elements: elements.update(range(100))),
    ],
)
def test_a_container_that_is_changed_meanwhile(make: Any, change: Any) -> None:
    class Part:
        def __buffer__(self, flags: int) -> memoryview:
            change(obj)
            return memoryview(b"abc")

    recv, send = create_channel()
    obj = make(Part())
    with pytest.raises(RuntimeError, match="changed"):
        send.send(obj)
    obj = [1]
    send.send(obj)
    assert recv.recv() == [1]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.12 has __buffer__")
def test_a_set_that_gets_other_elements_meanwhile() -> None:
    class Part:
        def __buffer__(self, flags: int) -> memoryview:
            obj.clear()
            obj.update(range(1000, 1051))  # as many
            return memoryview(b"abc")

    recv, send = create_channel()
    refused = 0
    for _ in range(100):
        obj = {Part(), *range(50)}
        try:
            send.send([obj, ["what", "follows"]])
        except RuntimeError as error:
            assert "set was changed" in str(error)
            refused += 1
        else:
            got = recv.recv()
            assert len(got[0]) == 51 and got[1] == ["what", "follows"]
    assert refused > 0


def test_a_list_that_another_thread_changes() -> None:
    recv, send = create_channel()
    items: list[Any] = [[number] for number in range(1000)]
    done = threading.Event()

    def change() -> None:
        while not done.is_set():
            items.append([1])
            items.pop()

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(200):
            send.send(items)
            assert len(recv.recv()) in (1000, 1001)
    finally:
        done.set()
        thread.join()


# ---- damaged messages ----------------------------------------------------------------------

# Nobody can send such ones but by way of the C library, which this does.
DAMAGED = """
import ctypes, pathlib, random, sys
import subinterpreters as si

class Message(ctypes.Structure):
    _fields_ = [("tag", ctypes.c_uint8), ("size", ctypes.c_uint8), ("block", ctypes.c_void_p),
                ("rest", ctypes.c_uint64 * 2)]

core = ctypes.CDLL(str(pathlib.Path(si.__file__).with_name("libsubinterp.so")))
core.subi_channel_lookup.restype = ctypes.c_void_p
core.subi_channel_lookup.argtypes = [ctypes.c_int64]
core.subi_channel_send.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64]
core.subi_channel_recv.argtypes = core.subi_channel_send.argtypes
core.subi_channel_drop.argtypes = core.subi_message_fini.argtypes = [ctypes.c_void_p]
core.subi_block_new.restype = core.subi_block_bytes.restype = ctypes.c_void_p
core.subi_block_new.argtypes = [ctypes.c_size_t]
core.subi_block_bytes.argtypes = core.subi_block_size.argtypes = [ctypes.c_void_p]
core.subi_block_size.restype = ctypes.c_size_t
NOBODY, TRY, BLOCK = -1, 0, 7

recv, send = si.create_channel()
channel = core.subi_channel_lookup(recv.id)

def encode(obj):
    send.send(obj)
    m = Message()
    assert core.subi_channel_recv(channel, NOBODY, ctypes.byref(m), TRY) == 0 and m.tag == BLOCK
    data = ctypes.string_at(core.subi_block_bytes(m.block), core.subi_block_size(m.block))
    core.subi_message_fini(ctypes.byref(m))
    return data

def decode(data):
    m = Message(tag=BLOCK, block=core.subi_block_new(len(data)))
    ctypes.memmove(core.subi_block_bytes(m.block), data, len(data))
    assert core.subi_channel_send(channel, NOBODY, ctypes.byref(m), TRY) == 0
    return recv.recv_nowait()
"""

FUZZ = """
seed, count = int(sys.argv[1]), int(sys.argv[2])
print("seed", seed)
random.seed(seed)
key = (1, ("x" * 100, frozenset({b"y" * 100, 2})))
pair = ([], {})
pair[0].append(pair)
seeds = [encode(obj) for obj in (
    [1, 2.5, 1j, None, True, 2**100, "\\u20ac", "\\U0001f40d" * 70, b"z", bytearray(b"lent"), send],
    {key: [key, {key}], "name": {"name": 1, "other": [{"name": 2}]}}, pair,
    ((), [[]], {(): {()}}, frozenset({frozenset()})),
    [{"a": {"b": 1, "c": [{"a": n, "b": "text"}]}, "b": pair} for n in range(3)],
)]
for data in seeds[1:]:
    decode(data)
tags = b"NFTijIfcbs([<>{KDRrh\\x81\\xc1"
refused = 0
for _ in range(count):
    data = bytearray(random.choice(seeds) if random.random() < 0.8 else
                     bytes(random.choices(tags + bytes(8), k=random.randrange(60))))
    for _ in range(random.choice((1, 1, 2, 5))):
        if data and random.random() < 0.5:
            data[random.randrange(len(data))] = random.choice((random.choice(tags), random.randrange(256)))
        elif random.random() < 0.5:
            at = random.randrange(len(data) + 1)
            data[at:at + random.randrange(4)] = random.choices(tags + bytes(3), k=random.randrange(4))
        else:
            del data[random.randrange(len(data) + 1):]
    try:
        obj = decode(bytes(data))
    except (SystemError, TypeError, ValueError, OverflowError, MemoryError, RecursionError):
        refused += 1
    else:
        del obj
assert count / 10 < refused < count, refused
recv.recv_nowait(None)
core.subi_channel_drop(channel)
"""

BAD = """
for data in (
    b"", b"?", b"R", b"Rr\\0", b"r\\0", b"[\\2RNr\\1", b"i", b"f1234567", b"c" + bytes(15), b"s\\3\\1aaa",
    b"s\\1\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\1", b"b\\5abcd", b"(\\2N", b"[\\xff\\xff\\xff\\x7fN",
    b"{\\1N", b"h\\0", b"h\\5", b"\\x83ab", b"j123", b"RRN", b"D\\0", b"D\\x20", b"K\\x20\\0",
    b"K\\0\\x21" + b"\\x81a" * 66, b"K\\0\\1NN", b"K\\0\\1\\x81a", b"K\\0\\1\\x81aD", b"[\\2K\\0\\1\\x81aND\\1N",
    b"R(\\1<\\1r\\0",  # a tuple in a set in itself
    b"R(\\2R(\\1r\\0<\\1r\\1",  # the same by way of another tuple
    b"R(\\2Rr\\0<\\1r\\1", b"R(\\1{\\1r\\0N", b"R>\\1r\\0",
):
    try:
        obj = decode(data)
    except SystemError as error:
        assert "malformed message" in str(error), (data, error)
    else:
        raise AssertionError(data)
for data in (b"<\\1[\\0", b"{\\1{\\0N", b">\\1<\\0"):
    try:
        decode(data)
    except TypeError as error:
        assert "unhashable" in str(error) or "cannot use" in str(error), error
    else:
        raise AssertionError(data)
core.subi_channel_drop(channel)
"""


def test_damaged_messages() -> None:
    run_script(DAMAGED + BAD + "\nimport gc; assert gc.isenabled()")


@pytest.mark.parametrize("seed", range(20 if LONG else 2))
def test_any_bytes(seed: int) -> None:
    run_script(DAMAGED + FUZZ, str(seed), str(200_000 if LONG else 20_000), timeout=100)


# ---- objects that are pickled ---------------------------------------------------------------


no_datetime = pytest.mark.skipif(
    sys.version_info[:2] == (3, 12), reason="interpreters of 3.12 have another class of that name"
)


@pytest.mark.parametrize(
    "obj",
    [
        *(range(3), slice(1, None), Ellipsis, NotImplemented, int, len, Decimal("1.5")),
        *(Fraction(1, 3), OrderedDict(a=1), Counter("aab"), deque([1], 2)),
        *(Path("/tmp"), re.compile("a+", re.IGNORECASE), re.IGNORECASE, UUID(int=1)),
        *(SimpleNamespace(a=[1]), IPv4Address("127.0.0.1"), ValueError("x").args),
        pytest.param(date(2026, 11, 25), marks=no_datetime),
    ],
    ids=lambda obj: type(obj).__name__,
)
def test_objects(echo: Echo, obj: Any) -> None:
    for each in obj, [obj, 1], ({"a": (obj,)},):
        got = echo(each)
        assert type(got) is type(each) and got == each
    with create() as interp:
        interp.prepare_main(obj=obj, text=repr(obj))
        interp.exec("assert repr(obj) == text")


def test_which_parts_of_an_object_are_one(echo: Echo) -> None:
    shared = [1]
    node = Node(shared, {})
    node.parts[1]["node"] = node
    got = echo([node, node, {"a": (node, shared)}, shared])
    assert type(got[0]) is Node and got[0] is got[1] is got[2]["a"][0] is got[0].parts[1]["node"]
    assert got[3] is got[2]["a"][1] is got[0].parts[0] == [1]


def test_parts_of_objects_that_are_not_pickled(echo: Echo) -> None:
    recv, send = create_channel()
    data = bytearray(b"abc")
    got = echo(Node(recv, send, memoryview(data), send, Lent(data), bytearray(b"copied")))
    assert got.parts[:2] == (recv, send) and got.parts[3] is got.parts[1]
    assert type(got.parts[2]) is memoryview and type(got.parts[5]) is bytearray
    got.parts[2][0] = 0
    assert bytes(got.parts[4].data) == b"\0bc"
    with pytest.raises(BufferError):
        data.append(1)
    got = None
    echo(None)
    end = time.monotonic() + WAIT
    while not is_free(data):
        assert time.monotonic() < end


def test_a_message_keeps_nothing_of_the_sender() -> None:
    recv, send = create_channel()
    data = bytearray(b"abc")
    gc.disable()
    try:
        send.send([lambda: 1, Lent(data)])  # by cloudpickle
        recv.recv()
        assert is_free(data)
        with pytest.raises(NotShareableError):
            send.send([Lent(data), threading.Lock()])
        assert is_free(data)
    finally:
        gc.enable()


def test_memory_that_cannot_be_written_to(echo: Echo) -> None:
    assert echo(Node(Lent(b"abc"))).parts[0].data.readonly
    assert not echo(Node(Lent(bytearray(b"abc")))).parts[0].data.readonly


def test_an_object_that_cannot_be_unpickled() -> None:
    recv, send = create_channel()
    send.send([Reduced(operator.truediv, 1, 0)])
    send.send(1)
    with pytest.raises(ZeroDivisionError) as caught:
        recv.recv()
    assert "another interpreter has sent" in caught.value.__notes__[0]
    assert recv.recv() == 1


def test_an_object_that_sends_and_receives_when_it_is_unpickled() -> None:
    (recv, send), (inner, inner_send) = create_channel(), create_channel()
    inner_send.send(Node(inner_send))
    send.send([Reduced(inner.recv_nowait), recv, send])
    node, *ends = recv.recv()
    assert node.parts == (inner_send,) and ends == [recv, send]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError, RecursionError])
def test_errors_that_are_not_about_the_object(error: type[BaseException]) -> None:
    recv, send = create_channel()
    with pytest.raises(error, match="as told"):
        send.send([Unsendable(error)])
    assert len(recv) == 0


MAIN = """
    import sys
    import subinterpreters as si
    if sys.argv[1] == "without":
        sys.modules["cloudpickle"] = None  # as if it was not installed
    print("once")

    class Local:
        def double(self):
            return self.x * factor

    factor = 2
    local = Local()
    local.x = 21
    recv, send = si.create_channel()
    interp = si.create(isolation=sys.argv[2])
    interp.prepare_main(recv=recv)
    get = "import sys; obj = recv.recv()"
"""

BY_VALUE = """
    for obj in local.double, lambda: 6 * factor + 30, (lambda n: lambda: n)(42), Local:
        send.send(obj)
        interp.exec(get)
        if obj is not Local:
            interp.exec("assert obj() == 42")
    send.send([local, local])
    interp.exec(get)
    interp.exec("assert obj[0] is obj[1] and obj[0].double() == 42")
    interp.close()
"""

CODE_ALONE = """
    for obj in lambda: 42, lambda n=42, *, m=0: n + m, [lambda: six * 7, {1}, local]:
        interp.exec("six = 6; Local = type('Local', (), {})")
        send.send(obj)
        interp.exec(get)
        interp.exec("assert (obj[0] if isinstance(obj, list) else obj)() == 42")
    interp.exec("del Local")
    for obj in (lambda n: lambda: n)(42), [(lambda n: lambda: n)(42), local]:
        try:
            send.send(obj)
        except si.NotShareableError as error:
            assert "function" in str(error) and "cannot be sent to another interpreter: " in str(error)
        else:
            raise AssertionError
    send.send(local)
    try:
        interp.exec(get)
    except si.ExecutionFailed as error:
        assert "AttributeError" in error.excinfo.errdisplay, error.excinfo.errdisplay
        assert "install cloudpickle" in error.excinfo.errdisplay, error.excinfo.errdisplay
    else:
        raise AssertionError
    interp.exec("class Local: pass")
    send.send(local)
    interp.exec(get)
    interp.exec("assert type(obj) is Local and obj.x == 21")
    interp.close()
"""


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_defined_in_main(kind: str) -> None:
    assert run_script(MAIN + BY_VALUE, "with", kind).stdout == "once\n"
    assert run_script(MAIN + CODE_ALONE, "without", kind).stdout == "once\n"


def test_objects_with_something_of_main() -> None:
    recv, send = create_channel()
    send.send([Decimal(1), "__main__"])  # a text is not something of it
    assert recv.recv() == [Decimal(1), "__main__"]


def test_buffers_as_keys() -> None:
    recv, send = create_channel()
    memory = memoryview(b"abc")
    send.send([{memory: 1}, {memory}])
    assert recv.recv() == [{memory: 1}, {memory}]
    with mmap.mmap(-1, 10) as mapped:
        for obj in {mapped}, {(1, mapped): 2}, [frozenset([mapped])]:
            with pytest.raises(NotShareableError):
                send.send(obj)
        send.send({1: mapped})
        assert type(recv.recv()[1]) is memoryview


def test_numbers_of_numpy() -> None:
    numpy = pytest.importorskip("numpy")
    recv, send = create_channel()
    obj = [numpy.int64(3), numpy.float32(0.5), {numpy.int8(1): numpy.bool_(True)}, numpy.str_("x")]
    for each in (*obj, obj):
        send.send(each)
        got = recv.recv()
        assert type(got) is type(each) and got == each
    send.send([numpy.array(1.5)])
    assert type(recv.recv()[0]) is memoryview


# ---- exact types ----------------------------------------------------------------------------


class Int(int):
    pass


class Str(str):
    pass


class Float(float):
    pass


class Pair(tuple[Any, ...]):
    pass


class Colour(enum.IntEnum):
    RED = 1


Point = namedtuple("Point", "x")


class Names(set):
    pass


@pytest.mark.parametrize(
    "obj",
    [Int(1), Str("a"), Float(1), Pair(), Names(), Colour.RED, Point(1), True, OrderedDict(a=1)],
    ids=lambda obj: type(obj).__name__,
)
def test_subclasses(obj: Any) -> None:
    recv, send = create_channel()
    for each in obj, (obj,), [1, {"a": obj}]:
        send.send(each)
        got = recv.recv()
        assert got == each and repr(got) == repr(each) and type(got) is type(each)


# ---- what cannot be sent -------------------------------------------------------------------


@pytest.mark.parametrize(
    "obj",
    [threading.Lock(), (each for each in ()), sys._getframe()]
    + [Unsendable(ValueError), Unsendable(TypeError), memoryview(b"")[:0].__iter__()],
    ids=lambda obj: type(obj).__name__,
)
def test_what_cannot_be_sent(obj: Any) -> None:
    recv, send = create_channel()
    message = rf"^[\w.]*{type(obj).__name__} object cannot be sent to another interpreter: \w+"
    for bad in obj, (1, obj), ["a" * 100, {"x": (send, [obj])}], Reduced(list, [obj]):
        if isinstance(bad, Reduced):
            message = "^(support[.])?Reduced object cannot be sent to another interpreter: "
        for sending in [
            lambda bad=bad: send.send(bad),
            lambda bad=bad: send.send_nowait(bad),
            lambda bad=bad: select((send, bad)),
            lambda bad=bad: select(recv, (send, bad)),
        ]:
            with pytest.raises(NotShareableError, match=message) as caught:
                sending()
            assert isinstance(caught.value.__cause__, Exception)
    assert issubclass(NotShareableError, TypeError)
    assert len(recv) == 0


def test_a_received_object_is_a_copy() -> None:
    recv, send = create_channel()
    obj = ("a" * 100, b"b" * 100, 2**100)
    send.send(obj)
    send.send(obj)
    del obj
    first, second = recv.recv(), recv.recv()
    assert first == second and first is not second
