# SPDX-License-Identifier: MIT
"""Sockets and files, which arrive as copies of their descriptors."""

import gc
import io
import os
import socket
import sys
import tempfile

import pytest
from support import KINDS, WAIT, Node, start

from subinterpreters import NotShareableError, create, create_channel, create_queue

in_each_kind = pytest.mark.parametrize("kind", KINDS)


def open_descriptors():
    gc.collect()
    return set(os.listdir("/proc/self/fd"))


@pytest.fixture(autouse=True)
def no_descriptor_left():
    before = len(open_descriptors())
    yield
    assert len(open_descriptors()) == before


@pytest.fixture
def pair():
    a, b = socket.socketpair()
    a.settimeout(WAIT)
    b.settimeout(WAIT)
    with a, b:
        yield a, b


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one\ntwo\nthree\n")
    return path


def passed(obj):
    """What arrives, here for once."""
    recv, send = create_channel()
    with recv, send:
        send.send(obj)
        return recv.recv()


# ---- sockets


@in_each_kind
def test_accepting_elsewhere(kind):
    with create(isolation=kind) as interp, socket.create_server(("127.0.0.1", 0)) as listening:
        interp.prepare_main(listening=listening)
        port = listening.getsockname()[1]
        listening.close()
        run = start(
            interp.exec,
            """if True:
            with listening:
                connection, address = listening.accept()
            with connection:
                connection.sendall(b"hello " + connection.recv(100))
            """,
        )
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as connection:
            connection.sendall(b"world")
            assert connection.recv(100) == b"hello world"
        run.result(WAIT)


@in_each_kind
def test_a_connected_one(kind, pair):
    a, b = pair
    recv, send = create_channel()
    with create(isolation=kind) as interp, recv, send:
        interp.prepare_main(recv=recv)
        send.send({"given": [b, "text", Node(b)], "data": bytearray(4)})
        b.close()
        a.sendall(b"word")
        interp.exec("""if True:
            import socket
            got = recv.recv()
            sock, text, node = got["given"]
            assert type(sock) is socket.socket and node.parts[0] is sock
            assert sock.gettimeout() == 30 and not sock.get_inheritable()
            assert len(got["data"]) == 4
            sock.sendall(sock.recv(100).upper())
            sock.close()
            del got, node
        """)
        assert (a.recv(100), a.recv(100)) == (b"WORD", b"")


@pytest.mark.parametrize("timeout", [None, 0, 2.5])
def test_what_a_socket_keeps(timeout):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        sock.bind(("127.0.0.1", 0))
        with passed(sock) as got:
            assert (got.family, got.type, got.proto) == (sock.family, sock.type, sock.proto)
            assert got.getsockname() == sock.getsockname()
            assert got.gettimeout() == timeout and got.fileno() != sock.fileno()


def test_a_socket_that_is_sent_back(pair):
    a, b = pair
    with passed(passed(b)) as got:
        got.sendall(b"x")
    assert a.recv(10) == b"x"


MADE_OF_SOCKET = {
    "r": ("TextIOWrapper", "send the socket"),
    "w": ("TextIOWrapper", "send the socket"),
    "rw": ("TextIOWrapper", "a pair cannot be taken apart; .* the socket"),
    "rb": ("BufferedReader", "send the socket"),
    "wb": ("BufferedWriter", "send the socket"),
    "rwb": ("BufferedRWPair", "a pair cannot be taken apart; .* the socket"),
}


@in_each_kind
@pytest.mark.parametrize("mode", MADE_OF_SOCKET)
def test_file_of_a_socket(kind, mode, pair):
    """It is refused before anything is done to it: what it has read ahead, and what it is yet to write, is there."""
    type_name, why = MADE_OF_SOCKET[mode]
    recv, send = create_channel()
    with create(isolation=kind) as interp, recv, send, pair[1].makefile(mode) as file:
        word = (lambda text: text.encode()) if "b" in mode else str
        if (
            "w" in mode
        ):  # first: before CPython 3.13, writing forgets what a text file has read ahead
            file.write(word("three"))
            pair[0].setblocking(False)
        if "r" in mode:
            pair[0].sendall(b"one\ntwo\n")
            assert file.readline() == word("one\n")
        queue = create_queue()
        for give in (
            lambda: queue.put(file),
            lambda: send.send([file]),
            lambda: send.send({"nested": Node(file)}),
            lambda: interp.prepare_main(file=file),
            lambda: interp.call(len, [file]),
        ):
            before = open_descriptors()
            with pytest.raises(NotShareableError, match=why) as caught:
                give()
            assert isinstance(caught.value.__cause__, TypeError)
            assert open_descriptors() == before
        with pytest.raises(
            NotShareableError, match=f"^{type_name} object cannot be sent|_io.{type_name}"
        ):
            passed(file)
        assert len(recv) == queue.qsize() == 0
        if "r" in mode:
            assert file.readline() == word("two\n")
        if "w" in mode:
            with pytest.raises(BlockingIOError):
                pair[0].recv(100)
            pair[0].settimeout(WAIT)
            file.flush()
            assert pair[0].recv(100) == b"three"


@in_each_kind
@pytest.mark.parametrize("buffering", [0, -1])
def test_file_of_a_socket_in_another_interpreter(kind, buffering, pair):
    with create(isolation=kind) as interp:
        interp.prepare_main(sock=pair[1], buffering=buffering)
        interp.exec("""if True:
            import socket, subinterpreters as si
            recv, send = si.create_channel()
            file = sock.makefile("rb", buffering=buffering)
            try:
                send.send(file)
            except si.NotShareableError as error:
                assert "send the socket" in str(error), error
            else:
                raise AssertionError("it was sent")
            send.send(sock)
            with recv.recv() as there, there.makefile("rb", buffering=buffering) as made:
                sock.close()
                file.close()
                assert len(recv) == 0
        """)


# ---- files


@in_each_kind
def test_all_read_from_one_position(kind, path):
    recv, send = create_channel()
    with create(isolation=kind) as interp, recv, send:
        interp.prepare_main(send=send)
        with open(path) as text, open(path, "rb") as binary, open(path, "rb", buffering=0) as raw:
            assert text.readline() == "one\n" and binary.readline() == b"one\n"
            assert raw.read(4) == b"one\n"
            interp.prepare_main(text=text, binary=binary, raw=raw)
            interp.exec("""if True:
                send.send([each.readline() for each in (text, binary, raw)])
                send.send([type(each).__name__ for each in (text, binary, raw)])
                send.send([(each.mode, each.name) for each in (text, binary, raw)])
                binary.seek(0, 2)  # else it only moves in what it has read
                binary.seek(8)
            """)
            assert recv.recv() == ["two\n", b"two\n", b"two\n"]
            assert recv.recv() == ["TextIOWrapper", "BufferedReader", "FileIO"]
            assert recv.recv() == [("r", str(path)), ("rb", str(path)), ("rb", str(path))]
            assert binary.read() == b"three\n" and raw.read() == b"three\n"
            interp.exec("text.close(); binary.close(); raw.close()")


@in_each_kind
@pytest.mark.parametrize("mode", ["w", "wb", "a", "ab", "w+", "r+", "rb+", "a+b", "x"])
def test_both_write(kind, mode, path):
    if mode == "x":
        path.unlink()
    word = (lambda text: text.encode()) if "b" in mode else str
    with create(isolation=kind) as interp, open(path, mode) as file:
        file.write(word("1"))
        interp.prepare_main(file=file, more=word("2"))
        interp.exec(f"assert file.mode == {file.mode!r}; file.write(more); file.close()")
        file.write(word("3"))
    before = b"one\ntwo\nthree\n" if "a" in mode else b""
    assert path.read_bytes()[: len(before) + 3] == before + b"123"


@pytest.mark.parametrize("newline", [None, "", "\n", "\r", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_what_a_text_keeps(newline, encoding, tmp_path):
    path = tmp_path / "text"
    options = {"encoding": encoding, "errors": "replace", "newline": newline}
    with open(path, "w", **options) as file:
        file.write("a\r\nü\n")
        with passed(file) as got:
            assert (got.encoding, got.errors) == (file.encoding, file.errors)
            got.write("b\rc\nd")
    shared = path.read_bytes()
    with open(path, "w", **options) as file:
        file.write("a\r\nü\nb\rc\nd")
    assert path.read_bytes() == shared
    with open(path, **options) as file:
        lines = file.readlines()
    with open(path, **options) as file:
        first = file.readline()
        with passed(file) as got:
            assert [first, *got.readlines()] == lines


def test_what_a_text_keeps_of_its_buffering(path):
    with open(path, "w", buffering=1) as file, passed(file) as got:
        assert got.line_buffering and not got.write_through
        got.write("line\n")
        assert path.read_bytes() == b"line\n"


def test_position_of_one_that_appends(path):
    with open(path, "a+b") as file:
        file.seek(4)
        with passed(file) as got:
            assert got.read(4) == b"two\n"


def test_layers_stay_one(path):
    with open(path) as file:
        text, buffer, raw = passed([file, file.buffer, file.buffer.raw])
        with text:
            assert text.buffer is buffer and buffer.raw is raw


def test_standard_streams():
    assert passed([sys.__stdout__, 1])[0] is sys.__stdout__


@pytest.mark.parametrize("mode", ["r", "rb"])
def test_pipe(mode):
    r, w = os.pipe()
    with open(w, "wb", buffering=0) as writing, open(r, mode) as reading, passed(reading) as got:
        writing.write(b"one\ntwo\n")
        assert got.readline() in ("one\n", b"one\n")
        with pytest.raises(NotShareableError, match="has read more than was asked for"):
            passed(got)
        assert got.readline() in ("two\n", b"two\n")


def test_pipe_that_is_read_up():
    r, w = os.pipe()
    with open(r, "rb") as reading, open(w, "wb", buffering=0) as writing:
        writing.write(b"one\n")
        assert reading.readline() == b"one\n"
        with passed(reading) as got:
            writing.write(b"two\n")
            assert got.readline() == b"two\n"


# ---- what does not arrive


def test_undelivered(pair, path):
    recv, send = create_channel()
    with open(path) as file:
        before = open_descriptors()
        send.send([pair[0], file])
        assert len(open_descriptors()) == len(before) + 2
        recv.close()
        assert open_descriptors() == before
    send.close()


def test_not_unpickled(pair):
    recv, send = create_channel()
    before = open_descriptors()
    with recv, send:
        send.send([Broken(), pair[0]])
        with pytest.raises(ZeroDivisionError):
            recv.recv()
        assert open_descriptors() == before
        send.send([pair[0], Broken()])
        with pytest.raises(ZeroDivisionError):
            recv.recv()
        assert open_descriptors() == before


class Broken:
    """It is pickled, but not unpickled."""

    def __reduce__(self):
        return divmod, (1, 0)


def test_not_pickled(pair):
    before = open_descriptors()
    with pytest.raises(NotShareableError) as caught:
        passed([pair[0], (each for each in ())])
    assert open_descriptors() == before
    assert caught.value.__cause__ is not None


def test_what_is_closed(path):
    sock = socket.socket()
    sock.close()
    with pytest.raises(NotShareableError, match="the socket is closed"):
        passed(sock)
    for mode, buffering in ("r", -1), ("w", -1), ("rb", -1), ("r+b", -1), ("wb", -1), ("rb", 0):
        with open(path, mode, buffering=buffering) as file:
            pass
        with pytest.raises(NotShareableError, match="closed"):
            passed(file)


def test_no_descriptor_is_left(pair):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(NotShareableError, match="Too many open files") as caught:
            passed(pair[0])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert isinstance(caught.value.__cause__, OSError)


def test_ssl(pair):
    ssl = pytest.importorskip("ssl")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    with (
        context.wrap_socket(pair[0], do_handshake_on_connect=False) as wrapped,
        pytest.raises(NotShareableError, match="SSLSocket .* send the plain socket"),
    ):
        passed(wrapped)


def test_temporary_files():
    with tempfile.NamedTemporaryFile() as file:
        with pytest.raises(NotShareableError, match="send its attribute `file`"):
            passed(file)
        with passed(file.file) as got:
            got.write(b"x")
        assert file.read() == b"" and file.tell() == 1


def test_text_in_memory():
    got = passed(io.TextIOWrapper(io.BytesIO(b"one\ntwo\n"), encoding="ascii"))
    assert got.readlines() == ["one\n", "two\n"]
