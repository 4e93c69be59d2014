# SPDX-License-Identifier: MIT
"""Sockets and files in what is pickled: what is sent is a copy of their descriptor, and how they are set.

Both copies are of one open file: the position is shared, and whether it blocks.
"""

from __future__ import annotations

import codecs
import gc
import io
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from subinterpreters._subinterpreters import _Descriptor

if TYPE_CHECKING:
    import socket

Reduced: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...]]
Buffered: TypeAlias = io.BufferedReader | io.BufferedWriter | io.BufferedRandom

STREAMS = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")
NEWLINES = ("", "\n", "\r", "\r\n")
UNREAD = "it has read more than was asked for, and cannot seek back"
MADE_OF_SOCKET = (
    "what makefile() returns cannot be sent; send the socket, and make a file of it there"
)
PAIR = "a pair cannot be taken apart; send its two files or, if makefile() returned it, the socket"


# ---- files ---------------------------------------------------------------------------------------


def _raw(descriptor: _Descriptor, mode: str, name: str | bytes | None) -> io.FileIO:
    fd = descriptor.copy()
    try:
        seekable = "a" in mode and os.path.isfile(fd)
        position = os.lseek(fd, 0, os.SEEK_CUR) if seekable else 0
        file = io.FileIO(fd, mode)
    except BaseException:
        os.close(fd)
        raise
    if seekable:  # it went to the end
        file.seek(position)
    if name is not None:
        file.name = name
    return file


def _reduce_raw(file: io.FileIO) -> Reduced:
    name = file.name if isinstance(file.name, (str, bytes)) else None
    return _raw, (_Descriptor(file.fileno()), file.mode, name)


def _unread(file: io.BufferedReader) -> int:
    """How many bytes it has read ahead."""

    def read_nothing(buffer: object) -> None:
        pass

    file.raw.readinto = read_nothing  # type: ignore[method-assign]
    try:
        return len(file.peek())
    finally:
        del file.raw.readinto


def _refuse_made_of_socket(file: object) -> None:
    """Before anything is done to the file: its socket has no position to go back to."""
    if isinstance(file, io.BufferedRWPair):
        raise TypeError(PAIR)
    socket = sys.modules.get("socket")
    if socket is not None and isinstance(getattr(file, "raw", None), socket.SocketIO):
        raise TypeError(MADE_OF_SOCKET)


def _reduce_buffered(file: Buffered) -> Reduced:
    _refuse_made_of_socket(file)
    file.flush()  # BufferedRandom goes back to where it is for its user, too
    if isinstance(file, io.BufferedReader) and (ahead := _unread(file)) > 0:
        if not file.seekable():
            raise ValueError(UNREAD)
        position = file.tell()
        file.seek(position + ahead + 1)  # only with this does it forget what it has
        file.seek(position)
    return _buffered, (type(file), file.raw)


def _buffered(cls: Callable[[io.RawIOBase], Buffered], raw: io.RawIOBase) -> Buffered:
    return cls(raw)


def _newline(file: io.TextIOWrapper) -> str | None:
    """What `newline` was when it was made, which it tells only the collector."""
    referents = gc.get_referents(file)
    # its encoding, newline unless that is None, what it has decoded, and errors
    texts = [each for each in referents if type(each) is str][1:-1]
    newline = texts.pop(0) if texts and texts[0] in NEWLINES else None
    universal = any(type(each) is io.IncrementalNewlineDecoder for each in referents)
    if texts or (newline and universal):
        raise ValueError(UNREAD)
    return newline


def _give_back(file: io.TextIOWrapper) -> int | None:
    """Have it forget what it has decoded; return its position if that says how to go on decoding."""
    position = file.tell()
    file.seek(position)
    _, state = codecs.getincrementaldecoder(file.encoding)().getstate()
    # else the receiver need not seek, which the sender would notice
    return position if position >> 64 or (position > 0 and state != 0) else None


def _text(
    buffer: Any,
    settings: tuple[str, str, str | None, bool, bool],
    mode: str | None,
    position: int | None,
) -> io.TextIOWrapper:
    file = io.TextIOWrapper(buffer, *settings)
    if mode is not None:
        file.mode = mode  # type: ignore[misc]
    if position is not None:
        file.seek(position)
    return file


def _stream(name: str) -> Any:
    """The receiver's own."""
    return getattr(sys, name)


def _reduce_text(file: io.TextIOWrapper) -> Reduced:
    for name in STREAMS:
        if file is getattr(sys, name, None):
            return _stream, (name,)
    _refuse_made_of_socket(file.buffer)
    file.flush()
    position = _give_back(file) if file.readable() and file.seekable() else None
    settings = (
        file.encoding,
        file.errors,
        _newline(file),
        file.line_buffering,
        file.write_through,
    )
    return _text, (file.buffer, settings, getattr(file, "mode", None), position)


# ---- sockets -------------------------------------------------------------------------------------


def _socket(
    descriptor: _Descriptor, family: int, kind: int, proto: int, timeout: float | None
) -> socket.socket:
    import socket

    fd = descriptor.copy()
    try:
        made = socket.socket(family, kind, proto, fileno=fd)
    except BaseException:
        os.close(fd)
        raise
    made.settimeout(timeout)
    return made


def _reduce_socket(sock: socket.socket) -> Reduced:
    fd = sock.fileno()
    if fd < 0:
        raise ValueError("the socket is closed")
    return _socket, (
        _Descriptor(fd),
        int(sock.family),
        int(sock.type),
        sock.proto,
        sock.gettimeout(),
    )


# ---- what is refused -----------------------------------------------------------------------------


def _refuse_socket_io(file: object) -> Reduced:
    raise TypeError(MADE_OF_SOCKET)


def _refuse_pair(file: object) -> Reduced:
    raise TypeError(PAIR)


def _refuse_ssl(sock: object) -> Reduced:
    raise TypeError("its keys are in this interpreter; send the plain socket, and wrap it there")


def _refuse_temporary(file: object) -> Reduced:
    raise TypeError("it removes its file when it is closed; send its attribute `file`")


FILES: dict[type, Callable[[Any], Reduced]] = {
    io.FileIO: _reduce_raw,
    io.BufferedReader: _reduce_buffered,
    io.BufferedWriter: _reduce_buffered,
    io.BufferedRandom: _reduce_buffered,
    io.BufferedRWPair: _refuse_pair,
    io.TextIOWrapper: _reduce_text,
}
# If nobody has imported the module, there is no such object.
ELSEWHERE = (
    ("socket", "socket", _reduce_socket),
    ("socket", "SocketIO", _refuse_socket_io),
    ("ssl", "SSLSocket", _refuse_ssl),
    ("tempfile", "_TemporaryFileWrapper", _refuse_temporary),
)


def reducers() -> dict[type, Callable[[Any], Reduced]]:
    """What makes calls of the objects: for a pickler's `dispatch_table`."""
    table = {**FILES}
    for module, name, reduce in ELSEWHERE:
        cls = getattr(sys.modules.get(module), name, None)
        if cls is not None:
            table[cls] = reduce
    return table
