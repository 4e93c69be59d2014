# SPDX-License-Identifier: MIT
"""Memory that belongs to no interpreter."""

import os
import sys
import time

import pytest
from support import KINDS, WAIT, Node, not_under_asan, run_script

from subinterpreters import SharedBuffer, create, create_channel

in_each_kind = pytest.mark.parametrize("kind", KINDS)


def test_a_new_one():
    buffer = SharedBuffer(1000)
    view = memoryview(buffer)
    assert (len(buffer), buffer.nbytes, repr(buffer)) == (
        1000,
        1000,
        "<SharedBuffer of 1000 bytes>",
    )
    assert (view.format, view.shape, view.readonly) == ("B", (1000,), False)
    assert view.tobytes() == bytes(1000)
    assert len(SharedBuffer(nbytes=0)) == 0 == memoryview(SharedBuffer(0)).nbytes


def test_bad_sizes():
    with pytest.raises(ValueError, match="negative, got -1"):
        SharedBuffer(-1)
    with pytest.raises(OverflowError):
        SharedBuffer(2**64)
    with pytest.raises(MemoryError):
        SharedBuffer(sys.maxsize)
    for bad in ((), ("1",), (1.0,), (None,), (1, 2)):
        with pytest.raises(TypeError):
            SharedBuffer(*bad)


def test_which_are_equal():
    recv, send = create_channel()
    a, b = SharedBuffer(8), SharedBuffer(8)
    send.send([a, b, a])
    x, y, z = recv.recv()
    assert x == a and hash(x) == hash(a) and y == b and x is z
    assert a != b and x != y and a != 8
    assert {a: 1}[x] == 1


@in_each_kind
def test_both_sides_write(kind):
    (to, send), (recv, back) = create_channel(), create_channel()
    buffer = SharedBuffer(16)
    with create(isolation=kind) as interp:
        interp.prepare_main(recv=to, send=back, given=buffer)
        send.send({"key": [buffer], "node": (buffer, memoryview(buffer)[2:4])})
        interp.exec("""if True:
            from subinterpreters import SharedBuffer
            got = recv.recv()
            assert type(given) is SharedBuffer and given == got["key"][0] is got["node"][0]
            memoryview(given)[1] = 7
            got["node"][1][0] = 8
            send.send((given, got["node"][1], memoryview(given).cast("q")))
        """)
        whole, part, numbers = recv.recv()
        assert whole == buffer and bytes(buffer)[:4] == b"\0\7\10\0"
        assert part.tobytes() == b"\10\0" and numbers.format == "q"
        memoryview(buffer)[8] = 1
        assert numbers[1] == 1
        interp.exec("assert memoryview(given).cast('q')[1] == 1")


@in_each_kind
def test_its_maker_is_closed_first(kind):
    recv, send = create_channel()
    with create(isolation=kind) as interp:
        interp.prepare_main(send=send)
        interp.exec("""if True:
            from subinterpreters import SharedBuffer
            buffer = SharedBuffer(100_000)
            memoryview(buffer)[-1] = 42
            send.send([buffer, memoryview(buffer)[99_999:]])
        """)
    buffer, part = recv.recv()
    assert memoryview(buffer)[-1] == 42 == part[0]
    del buffer
    assert part[0] == 42


def test_in_an_object():
    recv, send = create_channel()
    buffer = SharedBuffer(4)
    send.send(Node(buffer, [buffer]))
    got = recv.recv().parts
    assert got[0] == buffer and got[1][0] is got[0]


def test_numpy():
    numpy = pytest.importorskip("numpy")
    recv, send = create_channel()
    array = numpy.frombuffer(SharedBuffer(80), dtype="float64").reshape(2, 5)
    send.send(array)
    got = numpy.asarray(recv.recv())
    assert got.shape == (2, 5) and numpy.shares_memory(got, array)
    got[1, 4] = 1.5
    assert array[1, 4] == 1.5


def test_its_size_does_not_matter():
    recv, send = create_channel()

    def best(size):
        buffer, times = SharedBuffer(size), []
        for _ in range(200):
            start = time.perf_counter()
            send.send(buffer)
            recv.recv()
            times.append(time.perf_counter() - start)
        return min(times)

    assert best(2**30) < 10 * best(2**10)


@not_under_asan("keeps what was freed")
def test_many_views_and_the_end():
    run_script(
        """
        import resource
        from subinterpreters import SharedBuffer, create_channel

        recv, send = create_channel()
        def size():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * resource.getpagesize()
        buffer = SharedBuffer(1000)
        views = []
        for _ in range(100_000):
            send.send(buffer)
            views.append(memoryview(recv.recv()))
        views[-1][0] = 1
        assert views[0][0] == 1
        del views
        before = size()
        for _ in range(50):
            large = SharedBuffer(20_000_000)
            memoryview(large)[:] = bytes([1]) * len(large)
            send.send(large)  # one is dropped with its message
            del large
            recv.recv()
        assert size() < before + 60_000_000, (before, size())
    """,
        timeout=2 * WAIT,
    )


def test_a_fork():
    buffer = SharedBuffer(4)
    memoryview(buffer)[0] = 1
    pid = os.fork()
    if pid == 0:
        try:
            recv, send = create_channel()
            send.send(buffer)
            view = memoryview(recv.recv())
            view[1] = view[0]
            os._exit(0 if bytes(buffer) == b"\1\1\0\0" else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert bytes(buffer) == b"\1\0\0\0"
