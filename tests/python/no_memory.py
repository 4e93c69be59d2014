# SPDX-License-Identifier: MIT
"""Receiving without memory: whichever allocation fails, the message can be received again.

CPython's own module for such tests makes its allocators fail. The core's are tested in tests/core/test_nomem.c.
"""

import array
import asyncio
import importlib
import operator
import os
import socket
import sys

import pytest
from support import KINDS, WAIT, Node, Reduced, is_free, start

import subinterpreters
from subinterpreters import (
    ChannelClosedError,
    ChannelEmptyError,
    ChannelFullError,
    ItemInterpreterDestroyed,
    Lock,
    SharedBuffer,
    create,
    create_channel,
    create_queue,
    select,
    select_async,
)

testcapi = pytest.importorskip("_testcapi", reason="this CPython is without its module for tests")

QUIET = 20  # so many attempts in a row that succeed: there is no allocation left to fail


async def attempt_async(receive, number, last):
    coroutine = receive()
    testcapi.set_nomemory(number, last)
    try:
        return await coroutine
    finally:
        testcapi.remove_mem_hooks()


def attempt(receive, number, forever):
    """With that allocation failing, or all from that one on."""
    last = 0 if forever else number + 1
    if getattr(receive, "__name__", "").endswith("async"):
        return finish(attempt_async(receive, number, last))
    sys._getframe()  # else an exception is lost when there is no memory for the frame in its traceback
    testcapi.set_nomemory(number, last)
    try:
        return receive()
    finally:
        testcapi.remove_mem_hooks()


def finish(coroutine):
    """What a coroutine returns that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def fail_each(receive, is_whole, send, forever=False):
    """Receive what is sent, with each allocation failing in turn; return how often a receive failed."""
    number = failures = quiet = 0
    send()
    while quiet < QUIET:
        try:
            got = attempt(receive, number, forever)
        except ItemInterpreterDestroyed as error:
            got = error
        except MemoryError as error:
            got = error.__context__  # there was no memory for the traceback of that
            if not isinstance(got, ItemInterpreterDestroyed):
                failures += 1
                quiet = 0
                number += 1
                continue
        assert is_whole(got)
        del got
        quiet += 1
        number += 1
        send()
    return failures


# ---- what is received ------------------------------------------------------------------------------


def is_equal(value):
    return lambda got: got == value and type(got) is type(value)


def is_cycle(got):
    return got[0] is got and got[1] is got[2]


def is_buffer(got):
    return bytes(got) == b"x" * 200_000


def is_socket(got):
    with got[0] as sock, got[1] as other:
        return sock.fileno() != other.fileno() and sock.type == other.type == socket.SOCK_STREAM


def is_file(got):
    with got:
        return got.read() == b""


CYCLE = ["x" * 100]
CYCLE[:] = [CYCLE, CYCLE[0], CYCLE[0]]
PLAIN = {
    "int": 12345678,
    "float": 1.5,
    "short text": "word",
    "short bytes": b"word",
    "text": "ä" * 100,
    "big int": 1 << 1000,
    "complex": 1j,
    "list": [[str(i) * 20, float(i)] for i in range(20)],
    "dicts": [{"key": str(i) * 9, "other": i * 1000} for i in range(20)],
    "large dict": {i * 1000: [i] for i in range(100)},
    "sets": [{"a" * 20, "b" * 20}, frozenset({("x" * 20, 1000), 3.5})],
}
VALUES = {name: (value, is_equal(value)) for name, value in PLAIN.items()}
VALUES |= {
    "cycle": (CYCLE, is_cycle),
    "long bytes": (b"x" * 200_000, is_buffer),
    "buffer": (bytearray(b"x" * 200_000), is_buffer),
    "shared buffer": (SharedBuffer(100), lambda got: len(got) == 100),
    "array": (array.array("d", [1, 2]), lambda got: got.tolist() == [1, 2]),
    "lock": (Lock(), lambda got: got.acquire(timeout=0) and got.release() is None),
    "queue": (create_queue, lambda got: got.empty()),
    "ends": (create_channel, lambda got: not got[0].closed and not got[1].closed),
    "function": (lambda n, m=5: n + m, lambda got: got(3) == 8),
    "objects": (
        Node([1, "x" * 100], Node(bytearray(9))),
        lambda got: bytes(got.parts[1].parts[0]) == bytes(9),
    ),
}


@pytest.mark.parametrize("forever", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("name", VALUES)
def test_values(name, forever):
    value, is_whole = VALUES[name]
    if value in (create_queue, create_channel):  # other tests close all that there are
        value = value()
    recv, send = create_channel()
    with recv, send:

        def send_both():
            assert len(recv) == 0 or recv.recv() == "next"
            send.send(value)
            send.send("next")

        failures = fail_each(recv.recv_nowait, is_whole, send_both, forever)
        assert failures > 0 or name in AT_HAND
        assert is_whole(recv.recv()) and recv.recv() == "next"


AT_HAND = ["int", "float", "complex"]  # Python may have kept memory for these


def test_an_end_in_a_message_stays_open():
    recv, send = create_channel()
    inner_recv, inner_send = create_channel()
    with recv, send:
        ends = [[inner_recv, inner_send]]
        del inner_recv, inner_send

        def send_ends():
            send.send([*ends.pop(), "x" * 100])

        def keep(got):
            ends.append(got[:2])
            return len(got) == 3 and not ends[0][0].closed and not ends[0][1].closed

        assert fail_each(recv.recv_nowait, keep, send_ends) > 2


def descriptors():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("what", ["sockets", "file"])
def test_descriptors(what, tmp_path):
    """They are taken when all has been received."""
    recv, send = create_channel()
    path = tmp_path / "empty"
    path.touch()
    with (
        recv,
        send,
        socket.socket() as sock,
        socket.socket() as other,
        open(path, "rb", buffering=0) as file,
    ):
        before = descriptors()
        value, is_whole = ([sock, other], is_socket) if what == "sockets" else (file, is_file)
        assert fail_each(recv.recv_nowait, is_whole, lambda: send.send(value)) > 10
        assert is_whole(recv.recv()) and descriptors() == before


# ---- by all who receive ------------------------------------------------------------------------------


def select_all_async(*cases):
    async def select_them_async():
        return await select_async(*cases)

    return select_them_async


def next_async(iterator):
    async def anext_async():
        return await anext(iterator)

    return anext_async


VALUE = ["x" * 100, {"key": 12345}]
WAYS = {
    "recv": lambda recv: (recv.recv, VALUE),
    "recv_nowait": lambda recv: (lambda: recv.recv_nowait(None), VALUE),
    "next": lambda recv: (lambda: next(recv), VALUE),
    "select": lambda recv: (lambda: select(recv), (0, VALUE)),
    "recv_async": lambda recv: (recv.recv_async, VALUE),
    "select_async": lambda recv: (select_all_async(recv), (0, VALUE)),
    "async for": lambda recv: (next_async(aiter(recv)), VALUE),
}


@pytest.mark.parametrize("forever", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
@pytest.mark.parametrize("way", WAYS)
def test_ways_to_receive(way, closed, forever):
    """Also the last one of a channel that nobody can send to any more."""
    recv, send = create_channel()
    receive, expected = WAYS[way](recv)
    number = failures = quiet = 0
    while quiet < QUIET:
        send.send(VALUE)
        if closed:
            send.close()
        while True:
            try:
                got = attempt(receive, number, forever)
            except MemoryError:
                failures += 1
                quiet = -1
                number += 1
                assert len(recv) == 1 and not recv.closed
            else:
                break
        assert got == expected
        quiet += 1
        number += 1
        if closed:
            assert recv.closed
            recv, send = create_channel()
            receive, expected = WAYS[way](recv)
    assert failures > 3


@pytest.mark.parametrize("forever", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("way", ["get", "get_nowait", "get_async"])
def test_queues(way, forever):
    queue = create_queue(maxsize=2)
    receive = getattr(queue, way)

    def put():
        assert queue.empty() or queue.get() == "next"
        queue.put(VALUE)
        queue.put("next")

    assert fail_each(receive, is_equal(VALUE), put, forever) > 3
    assert queue.qsize() == 2 and queue.get() == VALUE and queue.get() == "next"


@pytest.mark.parametrize("way", ["UNBOUND", "UNBOUND_ERROR"])
def test_what_queues_have_in_the_place_of_an_item(way):
    """Nobody takes it without being told."""
    queue = create_queue()
    unbound = getattr(subinterpreters, way)

    def put():
        with create() as interp:
            interp.prepare_main(queue=queue)
            interp.exec(f"import subinterpreters as si; queue.put(1, unbounditems=si.{way})")

    is_whole = is_destroyed if way == "UNBOUND_ERROR" else lambda got: got is unbound
    assert fail_each(queue.get_nowait, is_whole, put) > 0
    assert queue.qsize() == 1


def is_destroyed(got):
    return isinstance(got, ItemInterpreterDestroyed)


def test_legacy():
    legacy = importlib.import_module("_xxsubinterpreters")
    number = legacy.channel_create()
    failures = fail_each(
        lambda: legacy.channel_recv(number),
        is_equal("x" * 100),
        lambda: legacy.channel_send(number, "x" * 100),
    )
    assert failures > 0
    legacy.channel_destroy(number)


# ---- order, and who else is there --------------------------------------------------------------------


class Trouble:
    """What happens on the first time that a message is unpickled: `meanwhile`, and then there is no memory."""

    @staticmethod
    def meanwhile():
        pass

    times = 0

    @classmethod
    def unpickle(cls, value):
        cls.times += 1
        if cls.times == 1:
            cls.meanwhile()
            raise MemoryError("as told")
        return value


@pytest.fixture
def troubled(monkeypatch):
    """Make an object with which the first receive fails, after it has called a function."""

    def make(value, meanwhile=lambda: None):
        monkeypatch.setattr(Trouble, "meanwhile", staticmethod(meanwhile))
        monkeypatch.setattr(Trouble, "times", 0)
        return Reduced(Trouble.unpickle, value)

    return make


def test_it_stays_the_first(troubled):
    recv, send = create_channel(capacity=2)
    with recv, send:
        send.send([troubled("first", lambda: send.send("third", timeout=0))])
        send.send("second")
        with pytest.raises(MemoryError, match="as told"):
            recv.recv()
        assert len(recv) == 3
        with pytest.raises(ChannelFullError):
            send.send_nowait("fourth")
        assert [recv.recv() for _ in range(3)] == [["first"], "second", "third"]
        send.send_nowait("fourth")
        assert recv.recv() == "fourth"


def test_another_thread_gets_it(troubled):
    recv, send = create_channel()
    with recv, send:
        others = []
        send.send([troubled("value", lambda: others.append(start(recv.recv, timeout=WAIT)))])
        with pytest.raises(MemoryError):
            recv.recv()
        assert others[0].result(WAIT) == ["value"]
        assert len(recv) == 0


def test_an_event_loop_that_waits_gets_it(troubled):
    async def main():
        recv, send = create_channel()
        with recv, send:
            waiting, told = recv.recv_async(), []
            send.send([troubled("value", lambda: told.append(waiting.send(None)))])
            with pytest.raises(MemoryError):
                recv.recv()
            with pytest.raises(ChannelEmptyError):
                recv.recv_nowait()  # it is reserved
            await asyncio.wait_for(asyncio.wait(told), WAIT)
            assert finish(waiting) == ["value"] and len(recv) == 0

    asyncio.run(asyncio.wait_for(main(), WAIT))


def test_an_event_loop_puts_it_back(troubled):
    async def main():
        recv, send = create_channel()
        with recv, send:
            task = asyncio.ensure_future(recv.recv_async())
            await asyncio.sleep(0)
            send.send([troubled("value")])
            send.send("next")
            with pytest.raises(MemoryError):
                await asyncio.wait_for(task, WAIT)
            assert [await recv.recv_async(), await recv.recv_async()] == [["value"], "next"]

    asyncio.run(asyncio.wait_for(main(), WAIT))


def test_closed_meanwhile(troubled):
    """Closing the receiving end throws away what is being received, too, if it comes back."""
    recv, send = create_channel()
    owner = bytearray(10)
    send.send([owner, troubled("value", recv.close)])
    with pytest.raises(MemoryError) as caught:
        recv.recv()
    caught.value.__traceback__ = None  # its frames have what was unpickled
    assert recv.closed and send.closed
    owner.append(1)  # nobody has it
    with pytest.raises(ChannelClosedError):
        recv.recv()


@pytest.mark.parametrize("last", [False, True])
def test_drained_and_closed_meanwhile(troubled, last):
    """With the last message the channel is closed; if this comes back it is open again, unless somebody has closed it."""
    recv, send = create_channel()
    send.send([troubled("value", recv.close if last else lambda: seen.append(recv.closed))])
    seen = []
    send.close()
    with pytest.raises(MemoryError):
        recv.recv()
    assert recv.closed == last
    if not last:
        assert seen == [True] and list(recv) == [["value"]]
    assert recv.closed


@pytest.mark.parametrize("kind", KINDS)
def test_in_another_interpreter(kind):
    """Whoever has more memory can receive it, or nobody, and then it goes with the channel."""
    recv, send = create_channel()
    owner = bytearray(10)
    with create(isolation=kind) as interp, recv, send:
        interp.prepare_main(recv=recv)
        send.send([owner, Reduced(bytearray, 1 << 62)])
        send.send("next")
        for _ in range(3):
            interp.exec("""if True:
                try:
                    recv.recv()
                except MemoryError:
                    pass
                else:
                    raise AssertionError
            """)
            assert len(recv) == 2
        with pytest.raises(MemoryError):
            recv.recv()
        recv.close()
        with pytest.raises(ChannelClosedError):
            send.send("more")
        interp.exec("recv.close()")
    assert is_free(owner)


def test_other_errors_take_it():
    """What fails for another reason would fail again."""
    recv, send = create_channel()
    with recv, send:
        send.send([Reduced(operator.truediv, 1, 0)])
        with pytest.raises(ZeroDivisionError):
            recv.recv()
        assert len(recv) == 0
