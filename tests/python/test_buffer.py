# SPDX-License-Identifier: MIT
"""Objects with the buffer protocol arrive as views of the sender's memory."""

import array
import collections
import ctypes
import gc
import mmap
import sys
import threading
import time
import weakref

import pytest
from conftest import whatever_is_open
from hypothesis import given, settings
from hypothesis import strategies as st
from support import KINDS, WAIT, is_free, not_under_asan, run_script, start

import subinterpreters
from subinterpreters import ChannelClosedError, ChannelFullError, NotShareableError

in_each_kind = pytest.mark.parametrize("kind", KINDS)


class Lent(bytearray):
    """Memory that says when it is gone."""


def until(condition):
    """Waits for what another thread does: no message comes when memory is given back."""
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, "it never happened"
        threading.Event().wait(0.0005)


def pass_through(obj):
    recv, send = subinterpreters.create_channel()
    with recv, send:
        send.send(obj)
        return recv.recv()


@pytest.fixture
def lines():
    """Two channels: to an interpreter, and back."""
    both = [subinterpreters.create_channel(), subinterpreters.create_channel()]
    yield both
    both.clear()  # pytest keeps the list


@pytest.fixture(params=KINDS)
def other(request, lines):
    (to_recv, _), (_, back_send) = lines
    with subinterpreters.create(isolation=request.param) as interp:
        interp.prepare_main(recv=to_recv, send=back_send)
        yield interp


def same(view, original):
    expected = memoryview(original)
    names = ("format", "itemsize", "shape", "strides", "ndim", "nbytes", "readonly", "suboffsets")
    assert isinstance(view, memoryview)
    for name in names:
        assert getattr(view, name) == getattr(expected, name), name
    assert view.tobytes() == expected.tobytes()


# ---- what arrives -----------------------------------------------------------------------------

mapped = mmap.mmap(-1, 4096)


class Bytes(bytes):
    pass


class Structure(ctypes.Structure):
    _fields_ = [("Owner", ctypes.c_int), ("y", ctypes.c_double)]


EXPORTERS = {
    "bytearray": bytearray(b"abc"),
    "empty": bytearray(),
    "not exactly bytes": Bytes(b"abc"),
    "array": array.array("d", [1.5, -2.5]),
    "empty array": array.array("q"),
    "read-only": memoryview(b"abc"),
    "writable": memoryview(bytearray(b"abc")),
    "made read-only": memoryview(bytearray(b"abc")).toreadonly(),
    "two dimensions": memoryview(bytearray(range(24))).cast("B", [4, 6]),
    "three dimensions": memoryview(bytearray(range(48))).cast("h", [2, 3, 4]),
    "no dimension": memoryview(bytearray(8)).cast("d", []),
    "strided": memoryview(bytearray(range(24)))[1::3],
    "backwards": memoryview(array.array("i", range(9)))[::-2],
    "empty slice": memoryview(bytearray(9))[5:5],
    "bool": memoryview(bytearray(4)).cast("?"),
    "mmap": mapped,
    "ctypes array": (ctypes.c_int * 3 * 2)((1, 2, 3), (4, 5, 6)),
    "ctypes structure": Structure(1, 2.5),
    "ctypes number": ctypes.c_longlong(7),
}


@pytest.mark.parametrize("name", EXPORTERS)
def test_layout(name, lines, other):
    (_, send), (recv, _) = lines
    exporter = EXPORTERS[name]
    same(pass_through(exporter), exporter)
    send.send(exporter)
    other.exec("send.send(recv.recv())")
    same(recv.recv(), exporter)


@st.composite
def views(draw):
    code = draw(st.sampled_from("bBhHiIlLqQfd?"))
    itemsize = memoryview(bytearray(8)).cast(code).itemsize
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    size = itemsize
    for n in shape:
        size *= n
    if size == 0:
        shape, size = [0], 0
        view = memoryview(bytearray(0)).cast(code)
    else:
        memory = bytearray(draw(st.binary(min_size=size, max_size=size)))
        view = memoryview(memory).cast(code, shape)
    if view.ndim > 0:
        numbers = st.one_of(st.none(), st.integers(-5, 5))
        step = draw(st.one_of(st.none(), st.sampled_from([-3, -2, -1, 1, 2, 3])))
        view = view[draw(numbers) : draw(numbers) : step]
    return view.toreadonly() if draw(st.booleans()) else view


@given(view=views())
@settings(max_examples=300, deadline=None)
def test_any_layout(view):
    same(pass_through(view), view)


def test_inside_tuples(other, lines):
    (_, send), (recv, _) = lines
    a, b = bytearray(b"a"), array.array("i", [1])
    send.send((1, a, ("x", b, b"bytes", a)))
    other.exec("message = recv.recv(); send.send(message); message[1][0] = 0x7a")
    one, first, (x, second, plain, third) = recv.recv()
    assert (one, x, plain) == (1, "x", b"bytes")
    same(first, a)
    same(second, b)
    same(third, a)
    assert a == b"z" == first == third
    other.exec("del message")


def test_numpy():
    numpy = pytest.importorskip("numpy")
    whole = numpy.arange(24, dtype="int16").reshape(4, 6)
    for a in (whole, whole.T, whole[::-1, ::2], numpy.asfortranarray(whole), numpy.array(1.5)):
        view = pass_through(a)
        assert numpy.array_equal(numpy.asarray(view), a)
        assert numpy.shares_memory(numpy.asarray(view), a)
    with pytest.raises(NotShareableError, match="has Python objects"):
        pass_through(numpy.array([object()]))


def test_what_else_is_sent_as_before(lines):
    (recv, send), _ = lines
    for value in (b"abc", b"x" * 1000, "text", 1, None, (b"y",)):
        send.send(value)
        got = recv.recv()
        assert got == value and type(got) is type(value)


def test_prepare_main(other):
    lent = bytearray(b"abc")
    other.prepare_main(buffer=lent, both=(lent, 1))
    other.exec("buffer[0] = 0x7a; assert both[0][0] == 0x7a; assert not buffer.readonly")
    assert lent == b"zbc"


def test_select(lines, other):
    (_, send), (recv, _) = lines
    lent = bytearray(b"abc")
    assert subinterpreters.select((send, lent)) == (0, None)
    other.exec("import subinterpreters; view = subinterpreters.select(recv)[1]; view[0] = 0")
    assert lent == b"\0bc"
    other.exec("subinterpreters.select((send, view))")
    assert subinterpreters.select(recv)[1].nbytes == 3


# ---- send_buffer ------------------------------------------------------------------------------


def test_send_buffer(lines, other):
    (_, send), (recv, _) = lines
    for obj in (b"abc", b"", b"x" * 1000, bytearray(b"abc"), memoryview(b"abcdef")[::-2]):
        send.send_buffer(obj)
        other.exec("send.send_buffer(recv.recv())")
        same(recv.recv(), obj)
    recv.close()


def test_send_buffer_refuses(lines):
    (recv, send), _ = lines
    for obj in (1, "text", None, (b"x",), [1], object(), send):
        with pytest.raises(TypeError, match=f"protocol, got {type(obj).__name__}$|SendChannel$"):
            send.send_buffer(obj)
    with pytest.raises(TypeError):
        send.send_buffer()
    with pytest.raises(ValueError, match="negative"):
        send.send_buffer(b"x", timeout=-1)
    with pytest.raises(TypeError, match="timeout must be"):
        send.send_buffer(b"x", "soon")
    assert len(recv) == 0


def test_send_buffer_waits_as_send():
    recv, send = subinterpreters.create_channel(1)
    lent = bytearray(1)
    send.send_buffer(lent)
    with pytest.raises(ChannelFullError):
        send.send_buffer(lent, timeout=0)
    with pytest.raises(TimeoutError):
        send.send_buffer(lent, timeout=0.01)
    waiting = start(send.send_buffer, lent, timeout=WAIT)
    assert recv.recv() == recv.recv(timeout=WAIT) == lent
    waiting.result(WAIT)
    recv.close()
    with pytest.raises(ChannelClosedError):
        send.send_buffer(lent)
    until(lambda: is_free(lent))


# ---- what is refused --------------------------------------------------------------------------


def test_python_objects_are_refused(lines):
    (recv, send), _ = lines
    with pytest.raises(NotShareableError, match="^py_object_Array_2 .* has Python objects$"):
        send.send((ctypes.py_object * 2)(1, 2))
    with pytest.raises(NotShareableError, match="Python objects"):
        send.send_buffer(ctypes.py_object(1))
    same(pass_through(Structure(1, 2)), Structure(1, 2))  # a field whose name has an O
    assert len(recv) == 0


def test_a_buffer_that_cannot_be_had(lines):
    (recv, send), _ = lines
    view = memoryview(bytearray(1))
    view.release()
    for call in (send.send, send.send_buffer, lambda v: send.send((1, "a" * 100, v))):
        with pytest.raises(
            NotShareableError, match="^memoryview .* could not be opened$"
        ) as caught:
            call(view)
        assert isinstance(caught.value.__cause__, ValueError)
    assert len(recv) == 0


@pytest.mark.skipif(sys.version_info < (3, 12), reason="classes with __buffer__ are of 3.12")
def test_exporters_in_python(lines):
    (recv, send), _ = lines
    calls = []

    class Exporter:
        def __init__(self, error=None):
            self.error = error
            self.memory = bytearray(b"abc")

        def __buffer__(self, flags):
            if self.error is not None:
                raise self.error
            return memoryview(self.memory)

        def __release_buffer__(self, view):
            calls.append(threading.get_ident())
            view.release()

    send.send(Exporter())
    view = recv.recv()
    assert view == b"abc" and not calls
    del view
    assert calls == [threading.get_ident()]
    with pytest.raises(NotShareableError) as caught:
        send.send(Exporter(ZeroDivisionError("zero")))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with pytest.raises(KeyboardInterrupt):
        send.send(Exporter(KeyboardInterrupt()))
    with pytest.raises(MemoryError):
        send.send(Exporter(MemoryError()))


def test_indirect_buffers_are_refused(lines):
    (_, send), _ = lines
    capi = pytest.importorskip("_testbuffer")
    array_of_pointers = capi.ndarray(list(range(6)), shape=[2, 3], flags=capi.ND_PIL)
    with pytest.raises(NotShareableError, match="indirect"):
        send.send(array_of_pointers)


# ---- requests to what arrives -----------------------------------------------------------------

REQUESTS = ["SIMPLE", "WRITABLE", "ND", "STRIDES", "FORMAT", "CONTIG", "CONTIG_RO", "STRIDED"]
REQUESTS += ["STRIDED_RO", "RECORDS", "RECORDS_RO", "FULL", "FULL_RO", "C_CONTIGUOUS"]
REQUESTS += ["F_CONTIGUOUS", "ANY_CONTIGUOUS"]


def get_buffer(obj, flags):
    """What a request of C code for a buffer answers, or the exception's type."""

    class Buffer(ctypes.Structure):
        _fields_ = [
            ("buf", ctypes.c_void_p),
            ("obj", ctypes.py_object),
            ("len", ctypes.c_ssize_t),
            ("itemsize", ctypes.c_ssize_t),
            ("readonly", ctypes.c_int),
            ("ndim", ctypes.c_int),
            ("format", ctypes.c_char_p),
            ("shape", ctypes.POINTER(ctypes.c_ssize_t)),
            ("strides", ctypes.POINTER(ctypes.c_ssize_t)),
            ("suboffsets", ctypes.POINTER(ctypes.c_ssize_t)),
            ("internal", ctypes.c_void_p),
        ]

    view = Buffer()
    try:
        ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(obj), ctypes.byref(view), flags)
    except BufferError:
        return BufferError
    shape = view.shape[: view.ndim] if view.shape else None
    strides = view.strides[: view.ndim] if view.strides else None
    simple = (view.buf, view.len, view.itemsize, view.readonly, view.ndim, view.format)
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))
    return *simple, shape, strides


def flags_of(name):
    simple, writable, format_, nd = 0, 1, 4, 8
    strides = 0x10 | nd
    return {
        "SIMPLE": simple,
        "WRITABLE": writable,
        "ND": nd,
        "STRIDES": strides,
        "FORMAT": format_,
        "CONTIG": nd | writable,
        "CONTIG_RO": nd,
        "STRIDED": strides | writable,
        "STRIDED_RO": strides,
        "RECORDS": strides | writable | format_,
        "RECORDS_RO": strides | format_,
        "FULL": 0x100 | strides | writable | format_,
        "FULL_RO": 0x100 | strides | format_,
        "C_CONTIGUOUS": 0x20 | strides,
        "F_CONTIGUOUS": 0x40 | strides,
        "ANY_CONTIGUOUS": 0x80 | strides,
    }[name]


VIEWS = ["read-only", "writable", "two dimensions", "three dimensions", "strided", "backwards"]


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("name", [*VIEWS, "no dimension", "empty slice"])
def test_requests(name, request_):
    """The exporter behind a received view answers as the original memoryview does."""
    original = EXPORTERS[name]
    received = pass_through(original).obj
    assert type(received).__name__ == "SharedBuffer"
    flags = flags_of(request_)
    assert get_buffer(received, flags) == get_buffer(original, flags)


def test_what_is_behind_a_view_can_be_sent():
    shared = pass_through(bytearray(b"abc")).obj
    same(pass_through(shared), bytearray(b"abc"))


# ---- the same memory --------------------------------------------------------------------------


@in_each_kind
def test_both_sides_write(kind, lines):
    (to, send), (recv, back) = lines
    numbers = array.array("q", range(4))
    with subinterpreters.create(isolation=kind) as interp:
        interp.prepare_main(recv=to, send=back)
        send.send(numbers)
        interp.exec("view = recv.recv(); view[1] = -1")
        assert numbers[1] == -1
        numbers[2] = -2
        interp.exec("assert view.tolist() == [0, -1, -2, 3]; send.send(view[::-1])")
        mine = recv.recv()
        mine[0] = -3
        assert numbers[3] == -3
        interp.exec("assert view[3] == -3")
        del mine


def test_read_only_stays(other):
    other.prepare_main(view=memoryview(b"abc"), made=memoryview(bytearray(3)).toreadonly())
    other.exec("""
for each in (view, made):
    try: each[0] = 1
    except TypeError: pass
    else: raise AssertionError
""")


SIZE = """
import resource
import subinterpreters as si

def rss():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

size = 200 << 20
recv, send = si.create_channel()
big = bytearray(size)
big[::4096] = b"x" * (size // 4096)
with si.create(isolation=sys.argv[1]) as interp:
    interp.prepare_main(recv=recv)
    interp.exec("recv")
    before = rss()
    for method in (send.send, send.send_buffer):
        method(big)
        interp.exec("view = recv.recv(); assert len(view) == 200 << 20; view[5] = 7; del view")
        assert big[5] == 7
    assert rss() - before < size // 10, rss() - before
"""


@in_each_kind
def test_nothing_is_copied(kind):
    run_script("import sys\n" + SIZE, kind)


# ---- how long the sender's object lives -------------------------------------------------------


def test_exporter_is_locked_as_long_as_views_are(other):
    lent = bytearray(b"abc")
    other.prepare_main(view=lent, part=lent)
    with pytest.raises(BufferError):
        lent.append(0)
    other.exec("del view")
    assert not is_free(lent)
    other.exec("view = part[1:]; del part")
    assert not is_free(lent)
    other.exec("view.release()")
    other.exec("del view")
    until(lambda: is_free(lent))


def test_views_of_views_and_of_other_threads(other):
    """Any thread may release a view; the owner is locked until the last one is gone, however many there are."""
    recv, send = subinterpreters.create_channel()
    lent = bytearray(b"abcdef")
    send.send(lent)
    view = recv.recv()
    part = memoryview(view)[1:5][::2]
    send.send(part)
    again = recv.recv()
    assert (again.tobytes(), again.strides, again.readonly) == (b"bd", (2,), False)
    send.send(again.toreadonly())
    fixed = recv.recv()
    with pytest.raises(TypeError):
        fixed[0] = 1
    other.prepare_main(fixed=fixed)
    other.exec("assert fixed.readonly and fixed.tobytes() == b'bd'\ndel fixed")
    for each in (fixed, part, again, view):
        for resize in (lent.clear, lambda: lent.append(0), lambda: lent.extend(b"x" * 100)):
            with pytest.raises(BufferError):
                resize()
        thread = threading.Thread(target=each.release)
        thread.start()
        thread.join()
        with pytest.raises(ValueError):
            each[0]
    del view, part, again, fixed, each
    until(lambda: is_free(lent))


def test_many_views():
    recv, send = subinterpreters.create_channel()
    lent = bytearray(100)
    views = []
    for _ in range(100_000):
        send.send_nowait(lent)
        views.append(recv.recv_nowait())
    views[0][5] = 7
    assert views[-1][5] == 7 == lent[5]
    assert not is_free(lent)
    del views
    until(lambda: is_free(lent))


def test_receiver_closes_first():
    for kind in KINDS:
        lent = bytearray(b"abc")
        with subinterpreters.create(isolation=kind) as interp:
            interp.prepare_main(view=lent)
            assert not is_free(lent)
        until(lambda lent=lent: is_free(lent))


@pytest.mark.parametrize("end", ["close", "drop"])
def test_message_is_never_received(end):
    recv, send = subinterpreters.create_channel()
    lent = bytearray(b"abc")
    send.send((lent, lent))
    assert not is_free(lent)
    if end == "close":
        recv.close()
    else:
        del recv
    assert is_free(lent)  # at once: this is the owner


def test_message_that_fails_keeps_nothing(lines):
    (recv, send), _ = lines
    lent = bytearray(b"abc")
    with pytest.raises(NotShareableError):
        send.send((lent, [threading.Lock()]))
    with pytest.raises(RecursionError):
        nested = (lent,)
        for _ in range(100_000):
            nested = (nested,)
        send.send((lent, nested))
    assert is_free(lent)
    recv.close()
    with pytest.raises(ChannelClosedError):
        send.send(lent)
    assert is_free(lent)


BUSY = {
    "idle": "",
    "in a loop": "while not stopped(): pass",
    "in a receive": "inbox.recv()",
    "in a call that releases the GIL": "import time\nwhile not stopped(): time.sleep(0.01)",
}


@pytest.mark.parametrize("busy", BUSY)
@in_each_kind
def test_release_is_prompt(kind, busy):
    """Whatever the owner is doing: its finalizer runs, in the owner, soon."""
    if busy == "in a loop" and kind == "shared" and sys.version_info < (3, 13):
        pytest.skip("on 3.12 it does not give the GIL up")
    recv, send = subinterpreters.create_channel()
    told, tell = subinterpreters.create_channel()
    inbox, stop = subinterpreters.create_channel()
    with subinterpreters.create(isolation=kind) as interp:
        interp.prepare_main(send=send, tell=tell, inbox=inbox)
        interp.exec("""
import weakref
class Lent(bytearray): pass
lent = Lent(b"abc" * 1000)
weakref.finalize(lent, lambda: tell.send("gone"))
send.send(lent)
del lent
def stopped():
    return len(inbox) > 0
""")
        running = start(interp.exec, BUSY[busy])
        view = recv.recv()
        with pytest.raises(TimeoutError):
            told.recv(timeout=0.02)
        began = time.monotonic()
        del view
        assert told.recv(timeout=WAIT) == "gone"
        took = time.monotonic() - began
        stop.send(1)
        running.result(WAIT)
    assert took < 2, took


def test_owner_takes_back_at_its_next_send(lines, other):
    (_, send), (recv, _) = lines
    other.exec("lent = [bytearray(8) for _ in range(50)]\nfor each in lent: send.send(each)")
    for _ in range(50):
        recv.recv()
    end = time.monotonic() + WAIT
    other.exec("n = 0")
    send.send(1)
    other.exec(f"""
import time
recv.recv()
while lent and time.monotonic() < {end}:
    send.send(0)
    try: lent[-1].append(0)
    except BufferError: continue
    lent.pop()
assert not lent
""")


# ---- interpreters that close ------------------------------------------------------------------


@in_each_kind
def test_owner_closes_first(kind):
    before = whatever_is_open()
    recv, send = subinterpreters.create_channel()
    told, tell = subinterpreters.create_channel()
    for kept in ("view", "message"):
        with subinterpreters.create(isolation=kind) as interp:
            interp.prepare_main(send=send, tell=tell)
            interp.exec("""
import atexit
class Told:
    def __del__(self): self.tell.send("finalized")
Told.tell = tell
import sys
sys.told = Told()
atexit.register(tell.send, "atexit")
memory = bytearray(b"abc" * 100)
send.send(memory)
""")
            if kept == "view":
                view = recv.recv()
        assert told.recv(timeout=0) == "atexit"
        assert subinterpreters.list_all() == [subinterpreters.get_main()]
        with pytest.raises(subinterpreters.InterpreterClosedError):
            interp.exec("1")
        with pytest.raises(TimeoutError):
            told.recv(timeout=0.02)  # its native interpreter is there
        if kept == "message":
            view = recv.recv()
        view[0] = 0x7A
        assert view == b"zbc" + b"abc" * 99
        del view
        assert told.recv(timeout=WAIT) == "finalized"
    del send, tell
    for channel in recv, told:  # until the native interpreters have let go of the other ends
        with pytest.raises(subinterpreters.ChannelClosedError):
            channel.recv(timeout=WAIT)
    del recv, told, channel
    until(lambda: whatever_is_open() <= before)  # they end on another thread


# ---- long bytes: lent until the receiver has copied them ----------------------------------------

LONG_BYTES = """
import sys
data = bytes(range(256)) * 4096
before = sys.getrefcount(data)
send.send({"key": [data, data]})
"""


def check_long_bytes(got):
    one, two = got["key"]
    assert type(one) is bytes and one is two and one == bytes(range(256)) * 4096


@in_each_kind
def test_long_bytes_are_lent(kind):
    recv, send = subinterpreters.create_channel()
    with subinterpreters.create(isolation=kind) as interp:
        interp.prepare_main(send=send)
        interp.exec(LONG_BYTES + "assert sys.getrefcount(data) > before")
        check_long_bytes(recv.recv())
        until(lambda: interp.call(eval, "sys.getrefcount(data) == before"))


@in_each_kind
def test_long_bytes_of_an_interpreter_that_closed(kind):
    recv, send = subinterpreters.create_channel()
    with subinterpreters.create(isolation=kind) as interp:
        interp.prepare_main(send=send)
        interp.exec(LONG_BYTES)
    check_long_bytes(recv.recv())


@in_each_kind
def test_long_bytes_of_an_interpreter_that_ends(kind):
    """It can lend nothing any more."""
    recv, send = subinterpreters.create_channel()
    subinterpreters.set_reserve_limit(0)
    try:
        with subinterpreters.create(isolation=kind) as interp:
            interp.prepare_main(send=send)
            interp.exec("""
import sys
class Late:
    def __del__(self): self.send.send({"key": self.both})
Late.send = send
data = bytes(range(256)) * 4096
Late.both = [data, data]
sys.late = Late()
""")
        check_long_bytes(recv.recv(timeout=WAIT))
    finally:
        subinterpreters.set_reserve_limit(4)


def test_long_bytes_of_a_foreign_interpreter():
    theirs = pytest.importorskip("concurrent.interpreters").create()
    queue = subinterpreters.create_queue()
    try:
        theirs.exec(f"import subinterpreters; queue = subinterpreters.Queue({queue.id})")
        theirs.exec("data = bytes(range(256)) * 4096; queue.put({'key': [data, data]})")
    finally:
        theirs.close()
    check_long_bytes(queue.get(timeout=WAIT))


@in_each_kind
def test_what_an_interpreter_lends_itself_does_not_keep_it(kind):
    told, tell = subinterpreters.create_channel()
    with subinterpreters.create(isolation=kind) as interp:
        interp.prepare_main(tell=tell)
        interp.exec("""
import sys, types
import subinterpreters as si
class Told:
    def __del__(self): self.tell.send("finalized")
Told.tell = tell
sys.told = Told()
recv, send = si.create_channel()
send.send(bytearray(10))
view = recv.recv()
cycle = [view]
cycle.append(cycle)
user = types.ModuleType("user")
send.send(bytearray(10))
user.view = recv.recv()
sys.modules["user"] = user
send.send(bytearray(10))
""")
    assert told.recv(timeout=WAIT) == "finalized"


def test_sent_on_through_an_interpreter_that_closes():
    recv, send = subinterpreters.create_channel()
    back, there = subinterpreters.create_channel()
    for kind in KINDS:
        lent = bytearray(b"abc")
        reserve = subinterpreters.get_reserve_limit()
        subinterpreters.set_reserve_limit(0)
        with subinterpreters.create(isolation=kind) as middle:
            middle.prepare_main(recv=recv, send=there, finalized=there)
            send.send(lent)
            middle.exec("""
import sys
class Told:
    def __del__(self): self.send.send("finalized")
Told.send = send
sys.told = Told()
send.send((recv.recv()[1:], 7))
""")
        view, seven = back.recv()
        assert back.recv(timeout=WAIT) == "finalized"  # it does not wait for views
        view[0] = 0x7A
        assert lent == b"azc" and seven == 7
        del view
        until(lambda lent=lent: is_free(lent))
        subinterpreters.set_reserve_limit(reserve)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="on 3.12 closed interpreters are ended")
def test_receivers_are_used_again_and_owners_when_all_came_back():
    run_script("""
import subinterpreters as si

recv, send = si.create_channel()
told, tell = si.create_channel()
MARK = "import sys; sys.implementation.mark = 1"

def addresses(code, keep=False):
    '''Of the interpreter's sys module, which is the same in its next life.'''
    seen = []
    for _ in range(4):
        with si.create() as interp:
            interp.prepare_main(tell=tell, send=send, lent=bytearray(8))
            interp.exec(code + "\\nimport sys; tell.send(id(sys))")
        seen.append(told.recv())
    return seen

assert len(set(addresses("lent[0] = 1"))) == 1
assert len(set(addresses("send.send(bytearray(8)); import time"))) > 1
assert len(recv) == 4
""")


def test_close_and_release_race():
    """The last view goes while its owner is being closed."""
    recv, send = subinterpreters.create_channel()
    inbox, outbox = subinterpreters.create_channel()

    def drop_views():
        for view in inbox:
            threading.Event().wait(0.001 * (len(view) % 4))
            del view

    dropper = start(drop_views)
    for number in range(40):
        with subinterpreters.create(isolation=KINDS[number % len(KINDS)]) as interp:
            interp.prepare_main(send=send, number=number)
            interp.exec("send.send(bytearray(100 + number))")
            outbox.send(recv.recv())
    outbox.close()
    dropper.result(WAIT)


def test_quiet_closing_while_the_reaper_visits():
    """The last Interpreter object goes just when a view has: the interpreter is closed all the same."""
    recv, send = subinterpreters.create_channel()
    for number in range(60):
        interp = subinterpreters.create(isolation=KINDS[number % len(KINDS)])
        interp.prepare_main(send=send)
        interp.exec("send.send(bytearray(100)); del send")
        recv.recv()
        threading.Event().wait(0.0002 * (number % 10))
        del interp
    until(lambda: subinterpreters.list_all() == [subinterpreters.get_main()])


@in_each_kind
def test_closing_while_the_reaper_visits_for_long(kind):
    """It is no run in progress."""
    recv, send = subinterpreters.create_channel()
    told, tell = subinterpreters.create_channel()
    with subinterpreters.create(isolation=kind) as interp:
        interp.prepare_main(send=send, tell=tell)
        interp.exec("""
import time
class Slow(bytearray):
    def __del__(self):
        tell.send("visited")
        time.sleep(0.4)
        tell.send("left")
send.send(Slow(100))
""")
        recv.recv()
        assert told.recv(timeout=WAIT) == "visited"
        interp.close()
        assert told.recv(timeout=0) == "left"


def test_finalizers_that_send_while_their_interpreter_ends():
    told, tell = subinterpreters.create_channel()
    recv, send = subinterpreters.create_channel()
    subinterpreters.set_reserve_limit(0)
    try:
        for kind in KINDS:
            with subinterpreters.create(isolation=kind) as interp:
                interp.prepare_main(send=send, tell=tell)
                interp.exec("""
import sys
class Late:
    def __del__(self):
        try: self.send.send(bytearray(100))
        except TypeError as e: self.tell.send(str(e))
Late.send, Late.tell = send, tell
sys.late = Late()
""")
            assert told.recv(timeout=WAIT).endswith("this interpreter is ending")
            assert len(recv) == 0
    finally:
        subinterpreters.set_reserve_limit(4)


# ---- the process ------------------------------------------------------------------------------

ALIVE = {
    "main has a view": "view = recv.recv()",
    "main has a view of a closed one": "view = recv.recv(); interp.close()",
    "main reads it at the end": """
class Late:
    def __init__(self): self.view = recv.recv()
    def __del__(self): assert self.view.tobytes() == b'abc' * 100; self.view[0] = 1
late = Late()
interp.close()
""",
    "main lets go in atexit": """
import atexit
views = [recv.recv()]
atexit.register(views.clear)
interp.close()
""",
    "main has let go just now": "view = recv.recv(); interp.close(); del view",
    "a message is queued": "interp.close()",
    "a thread has it": """
view = recv.recv()
interp.close()
threading.Thread(target=lambda view: time.sleep(0.3), args=[view]).start()
del view
""",
    "a daemon thread has it": """
threading.Thread(target=lambda view: time.sleep(99), args=[recv.recv()], daemon=True).start()
interp.close()
""",
    "an interpreter has main's": """
lent = bytearray(b'abc')
interp.prepare_main(view=lent)
""",
    "a lingering one has main's": """
lent = bytearray(b'abc')
interp.prepare_main(view=lent)
view = recv.recv()
interp.close()
""",
    "each has what is another's": """
second = si.create()
second.prepare_main(view=recv.recv(), send=send)
second.exec("send.send(bytearray(5))")
interp.prepare_main(view=recv.recv())
view = lent = None
""",
    "it holds itself": """
interp.exec('''
import functools, subinterpreters as si
r, s = si.create_channel()
s.send(bytearray(9))
functools.kept = r.recv()
''')
recv.recv()
interp.close()
""",
}

PROCESS = """
import sys, threading, time
import subinterpreters as si

recv, send = si.create_channel()
interp = si.create(isolation=sys.argv[1])
interp.prepare_main(send=send)
interp.exec("send.send(bytearray(b'abc' * 100))")
"""


@in_each_kind
@pytest.mark.parametrize("what", ALIVE)
def test_exit(what, kind):
    began = time.monotonic()
    done = run_script(PROCESS + ALIVE[what] + "\nsys.exit(3)\n", kind, returncode=3)
    assert time.monotonic() - began < 8
    assert not done.stderr, done.stderr


ENDLESS = """
interp.exec('''
import time
class Slow:
    def __buffer__(self, flags): return memoryview(bytearray(3))
    def __release_buffer__(self, view):
        self.send.send("begun")
        while True: {}
Slow.send = send
send.send(Slow())
''')
recv.recv()
recv.recv()
assert recv.recv() == "begun"
sys.exit(3)
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="classes with __buffer__ are of 3.12")
@in_each_kind
def test_exit_during_a_release_that_does_not_end(kind):
    if kind == "shared" and sys.version_info < (3, 13):
        pytest.skip("on 3.12 it does not give the GIL up")
    began = time.monotonic()
    script = PROCESS + ENDLESS
    done = run_script(script.format("pass"), kind, returncode=3, traceback=True)
    assert "SystemExit" in done.stderr, done.stderr  # as other code that runs
    done = run_script(script.format("time.sleep(99)"), kind, traceback=True)
    assert "without finalizing" in done.stderr, done.stderr
    assert time.monotonic() - began < 14


@in_each_kind
def test_fork(kind):
    run_script(
        PROCESS
        + """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)
view = recv.recv()
lent = bytearray(b"main")
send.send(lent)
mine = recv.recv()
second = si.create(isolation=sys.argv[1])
second.prepare_main(send=send)
second.exec("send.send(bytearray(3))")
third = recv.recv()
second.close()
pid = os.fork()
if pid == 0:
    view[0] = 0x7a
    assert view[:3].tobytes() == b"zbc" and mine == b"main"
    del view, third
    mine.release()
    del mine
    lent.append(0)  # this thread is still attached to its owner
    r, s = si.create_channel()
    with si.create(isolation=sys.argv[1]) as child:
        child.prepare_main(s=s, lent=lent)
        child.exec("s.send(bytearray(b'child')); lent[0] = 1; del lent")
        kept = r.recv()
    assert kept == b"child" and lent[0] == 1
    del kept
    sys.exit(5)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
assert view[:3].tobytes() == b"abc" and mine == lent
del view, third, mine
lent.append(0)
interp.close()
""",
        kind,
    )


MANY = """
import gc, os, sys
import subinterpreters as si

def rss():
    gc.collect()
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")

recv, send = si.create_channel()
back, there = si.create_channel()
interp = si.create(isolation=sys.argv[1])
interp.prepare_main(recv=recv, send=there)
interp.exec('''
def echo(n):
    for _ in range(n):
        send.send((recv.recv(), bytearray(20)))
''')
lent = bytearray(1000)

def work(n):
    for _ in range(n):
        send.send(lent)
    interp.exec(f"echo({n})")
    for _ in range(n):
        back.recv()

for _ in range(20):
    work(1000)
before = rss()
for _ in range(80):
    work(1000)
growth = rss() - before
assert growth < 2 << 20, growth
interp.close()
import time
end = time.monotonic() + 10
while True:
    try: lent.append(0)
    except BufferError: assert time.monotonic() < end
    else: break
"""


@not_under_asan("keeps what was freed")
@in_each_kind
def test_no_leak(kind):
    run_script(MANY, kind, timeout=60)


def test_threads_in_both_directions():
    """Views come and go on many threads at once, and each object is released in the end."""
    kept = collections.deque()
    references = []

    def work(kind):
        to, outbox = subinterpreters.create_channel(4)
        inbox, back = subinterpreters.create_channel(4)
        with subinterpreters.create(isolation=kind) as interp:
            interp.prepare_main(recv=to, send=back)
            running = start(interp.exec, "for each in recv: send.send((each, bytearray(9)))")
            for _ in range(300):
                lent = Lent(16)
                references.append(weakref.ref(lent))
                outbox.send(lent)
                kept.append(inbox.recv(timeout=WAIT))
                if len(kept) > 20:
                    kept.popleft()
            outbox.close()
            running.result(WAIT)

    for each in [start(work, KINDS[n % len(KINDS)]) for n in range(4)]:
        each.result(60)
    kept.clear()
    gc.collect()
    until(lambda: all(reference() is None for reference in references))
