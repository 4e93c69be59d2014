# SPDX-License-Identifier: MIT
"""What tests have workers of pools do: workers import this module."""

import _thread
import sys
import threading
import time
from typing import Any

import subinterpreters


def add(a: Any, b: Any) -> Any:
    return a + b


def echo(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def square(n: int) -> int:
    return n * n


def fail(error: type[BaseException], *args: Any) -> None:
    raise error(*args)


def fail_at(bad: int, n: int) -> int:
    if n == bad:
        raise ZeroDivisionError(n)
    return n


def where() -> int:
    return subinterpreters.get_current().id


def isolation() -> str:
    return subinterpreters.get_current().isolation


def thread_name() -> str:
    return threading.current_thread().name


def spin() -> None:
    while True:
        pass


def sleep(seconds: float) -> None:
    time.sleep(seconds)  # in C: cannot be interrupted


def sleep_and_return(seconds: float, value: Any) -> Any:
    time.sleep(seconds)
    return value


def wait_at(started: Any, go: Any) -> Any:
    started.send(where())
    return go.recv(timeout=30)


def send(channel: Any, value: Any) -> None:
    channel.send(value)


def take_memory() -> Any:
    return bytearray(1 << 62)


def leave_thread() -> None:
    _thread.exit()


def leave() -> None:
    sys.exit("as told")


def exit_in_c() -> None:
    import ctypes  # which cannot be imported in all kinds of interpreters on 3.12

    ctypes.CDLL(None).exit(17)


def crash() -> None:
    import ctypes

    ctypes.string_at(0)


INITIALIZED: list[Any] = []


def initialize(*args: Any) -> None:
    INITIALIZED.extend(args)


def initialized() -> list[Any]:
    return INITIALIZED


def count_in_pool(numbers: list[int]) -> int:
    """Use a pool in a worker of a pool."""
    with subinterpreters.InterpreterPoolExecutor(2) as pool:
        return sum(pool.map(square, numbers))


class AtPickle:
    """Does something when it is pickled."""

    def __init__(self, action: Any) -> None:
        self.action = action

    def __reduce__(self) -> Any:
        self.action()
        raise AssertionError("not reached")


class AtUnpickle:
    """Does something when it is unpickled."""

    def __init__(self, action: Any) -> None:
        self.action = action

    def __reduce__(self) -> Any:
        return self.action, ()


class AtEnd:
    """Does something when it goes away, but for a copy on its way."""

    def __init__(self, action: Any) -> None:
        self.action = action

    def __del__(self) -> None:
        self.action()


def end_object(action: Any) -> str:
    AtEnd(action)
    return "returned"


def raise_error() -> None:
    raise LookupError("as told")


def apply(call: Any) -> Any:
    function, *args = call
    return function(*args)
