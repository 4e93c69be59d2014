# SPDX-License-Identifier: MIT
"""Log records of other interpreters. The package imports this when it is wanted."""

from __future__ import annotations

import logging
import os
import threading
import traceback
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from subinterpreters._subinterpreters import (
    ChannelClosedError,
    ChannelError,
    Event,
    Interpreter,
    RecvChannel,
    SendChannel,
    _seconds,
    create_channel,
    get_current,
    get_main,
)

__all__ = ["LogListener", "log_to_parent"]

EXIT_WAIT = 1.0  # seconds for the records that are left when the process ends

# ---- in the interpreter --------------------------------------------------------------------------

DEPTH = 5  # of containers in extra attributes of records


def _plain(value: Any, depth: int = DEPTH) -> Any:
    """Return what arrives anywhere in the place of value: itself, or the text that describes it."""
    kind = type(value)
    if kind in (str, int, float, bool, bytes, type(None)):
        return value
    if depth > 0 and kind in (list, tuple):
        return kind(_plain(each, depth - 1) for each in value)
    if depth > 0 and kind is dict:
        return {_plain(k, depth - 1): _plain(v, depth - 1) for k, v in value.items()}
    return repr(value)


class _Handler(logging.Handler):
    """Sends records. It never waits."""

    def __init__(self, send: SendChannel) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send.send(self._prepare(record))
        except ChannelError:
            pass  # nobody listens any more
        except Exception:  # noqa: BLE001 (as all handlers do)
            self.handleError(record)

    def _prepare(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return the record's attributes, with texts in place of what only this interpreter has."""
        attributes = dict(vars(record), msg=record.getMessage(), args=None, exc_info=None)
        if record.exc_info and not record.exc_text:
            formatter = self.formatter or logging.Formatter()
            attributes["exc_text"] = formatter.formatException(record.exc_info)
        return {name: _plain(value) for name, value in attributes.items()}

    def is_over(self) -> bool:
        """Whether nobody listens any more."""
        return self._send.closed

    def close(self) -> None:
        """Once all is logged: logging.shutdown() does it, after all other functions of atexit."""
        with suppress(ChannelError):
            self._send.close()
        super().close()


def _attach(send: SendChannel, level: int | str) -> None:
    root = logging.getLogger()
    root.setLevel(level)
    for each in root.handlers[:]:
        if isinstance(each, _Handler) and each.is_over():
            root.removeHandler(each)
            each.close()
    root.addHandler(_Handler(send))


# ---- in the parent -------------------------------------------------------------------------------


def _expect(kind: type, value: object, wanted: str) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{wanted}, got {type(value).__name__}")


def _check(interp: object, logger: object) -> None:
    _expect(Interpreter, interp, "interp must be an Interpreter")
    if logger is not None:
        _expect(logging.Logger, logger, "logger must be a logging.Logger or None")


class LogListener:
    """Hands log records of an interpreter to loggers of this one. Made by log_to_parent()."""

    def __init__(
        self,
        interp: Interpreter,
        recv: RecvChannel,
        send: SendChannel,
        logger: logging.Logger | None,
    ) -> None:
        _check(interp, logger)
        _expect(RecvChannel, recv, "recv must be a RecvChannel")
        _expect(SendChannel, send, "send must be a SendChannel")
        self._id, self._name = interp.id, interp.name  # the object would keep it from being closed
        self._recv, self._send, self._logger = recv, send, logger
        self._done = Event()  # Ctrl-C ends a wait for it in any interpreter
        # Where there can be daemon threads, it is one, and serves until all interpreters are closed.
        self._thread = threading.Thread(
            target=self._listen, name=f"log of {self._name}", daemon=_is_main()
        )

    def _listen(self) -> None:
        try:
            for attributes in iter(self._recv.recv, None):
                self._handle(attributes)
        except ChannelClosedError:
            pass  # the interpreter is closed
        finally:
            self._recv.close()
            self._done.set()

    def _handle(self, attributes: dict[str, Any]) -> None:
        attributes.setdefault("interpreter", self._id)  # or it comes from one further down
        attributes.setdefault("interpreter_name", self._name)
        try:
            record = logging.makeLogRecord(attributes)
            logger = self._logger or logging.getLogger(record.name)
            if logger.isEnabledFor(record.levelno):
                logger.handle(record)
        except Exception:  # noqa: BLE001 (the next record may do better)
            if logging.raiseExceptions:
                traceback.print_exc()

    def stop(self, timeout: float | None = None) -> None:
        """Hand over what has been logged until now, then listen no more. Again, it does nothing.

        When the interpreter is closed, it stops by itself; this waits until it has.

        Args:
            timeout: seconds to wait at most; None is for ever.

        Raises:
            TimeoutError: loggers of this interpreter are not done with the records by then.
            TypeError, ValueError: timeout is no number, or negative.
        """
        if timeout is not None:
            timeout = _seconds(timeout)
        if self._is_still_listening() and not self._done.wait(timeout):
            raise TimeoutError(f"the log of interpreter {self._id} is not done")

    def _is_still_listening(self) -> bool:
        """Tell the thread to end; return whether there is something to wait for."""
        with suppress(ChannelError):
            self._send.send(None)
        return self._thread.is_alive() and self._thread is not threading.current_thread()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()


LogListener.__module__ = "subinterpreters"

_listeners: WeakSet[LogListener] = WeakSet()
os.register_at_fork(after_in_child=_listeners.clear)  # which has not their threads


def _is_main() -> bool:
    return get_current() == get_main()


def stop_all() -> None:
    """At the end: of the process, when all interpreters are closed; of another one, before that."""
    for listener in list(_listeners):
        with suppress(SystemExit):  # what waits of this package raise when the process ends
            listener._is_still_listening()
        if listener._thread is not threading.current_thread():
            listener._thread.join(EXIT_WAIT)


if not _is_main():
    threading._register_atexit(stop_all)  # type: ignore[attr-defined]


def log_to_parent(
    interp: Interpreter, logger: logging.Logger | None = None, *, level: int | str | None = None
) -> LogListener:
    """Have loggers of this interpreter handle what is logged in another one.

    Its root logger gets a handler that sends records here, without waiting. A thread hands them to the
    loggers, with the attributes `interpreter` (the id) and `interpreter_name`. Messages and tracebacks
    arrive as text, and so do extra attributes that are no numbers, texts, or lists, tuples and dicts of
    these. When the interpreter is closed all that it has logged is handed over, then the thread ends; so
    it does at the end of the process.

    >>> import logging, subinterpreters, sys
    >>> logging.basicConfig(format="%(interpreter_name)s: %(message)s", stream=sys.stdout)
    >>> with subinterpreters.create(name="worker") as interp:
    ...     with subinterpreters.log_to_parent(interp):
    ...         interp.exec("import logging; logging.warning('%d apples', 3)")
    worker: 3 apples

    Args:
        interp: an interpreter, which is not running.
        logger: the one that gets all records; None: each gets to the one of the name that it has there.
        level: of the other one's root logger; None is that of `logger`, or of the root logger here. The
            loggers here look at the level, too.

    Returns:
        A LogListener, which stops at the end of a `with` block or when stop() is called; or when the
        interpreter is closed.

    Raises:
        InterpreterError: the interpreter is running, or is this one.
        InterpreterClosedError: it is closed.
        ValueError: there is no such level.
        TypeError: an argument is not as above.
    """
    _check(interp, logger)
    if level is None:
        level = (logger or logging.getLogger()).getEffectiveLevel()
    recv, send = create_channel()
    interp.call(_attach, send, level)
    listener = LogListener(interp, recv, send, logger)
    _listeners.add(listener)
    listener._thread.start()
    return listener
