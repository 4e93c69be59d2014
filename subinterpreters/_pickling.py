# SPDX-License-Identifier: MIT
"""Objects that are sent by way of pickle: those with something in them that the codec does not know.

The codec imports this when it needs it.
"""

from __future__ import annotations

import copyreg
import io
import marshal
import os
import pickle
import sys
import threading
from types import FunctionType
from typing import Any

from subinterpreters import _descriptors
from subinterpreters._subinterpreters import (
    BoundedSemaphore,
    Condition,
    Event,
    Lock,
    NotShareableError,
    Queue,
    RecvChannel,
    RLock,
    Semaphore,
    SendChannel,
    SharedBuffer,
    _Barrier,
    _Descriptor,
)

PROTOCOL = 5

# What takes the place of an object: its pickle; what is not pickled, but sent beside; the buffers that are
# not copied into it (PEP 574). The codec knows all of these.
Pickled = tuple[bytes, list[Any], list[memoryview]]

BESIDE: tuple[type, ...] = (
    Queue,
    RecvChannel,
    SendChannel,
    SharedBuffer,
    memoryview,
    Lock,
    RLock,
    Semaphore,
    BoundedSemaphore,
    Event,
    Condition,
    _Barrier,
    _Descriptor,
)

_receiving = threading.local()


def _part(number: int) -> Any:
    """Return what was sent beside the pickle that this thread is loading."""
    return _receiving.parts[number]


def _function(code: bytes, name: str, defaults: Any, keyword_defaults: Any) -> FunctionType:
    """Return a function whose global names are those of this interpreter's __main__."""
    function = FunctionType(marshal.loads(code), vars(sys.modules["__main__"]), name, defaults)
    function.__kwdefaults__ = keyword_defaults
    return function


class _CodePickler(pickle.Pickler):
    """What there is without cloudpickle: the code of functions that pickle does not find by their names."""

    def reducer_override(self, obj: object) -> Any:
        if not isinstance(obj, FunctionType) or obj.__closure__ is not None:
            return NotImplemented
        if obj.__module__ != "__main__" and "<" not in obj.__qualname__:
            return NotImplemented
        return _function, (
            marshal.dumps(obj.__code__),
            obj.__name__,
            obj.__defaults__,
            obj.__kwdefaults__,
        )


def _dumps(pickler_type: type[pickle.Pickler], obj: object) -> Pickled:
    file = io.BytesIO()
    parts: list[Any] = []
    buffers: list[memoryview] = []

    def send_beside(part: object) -> tuple[Any, tuple[int]]:
        parts.append(part)
        return _part, (len(parts) - 1,)

    pickler = pickler_type(
        file, PROTOCOL, buffer_callback=lambda buffer: buffers.append(buffer.raw())
    )
    table = {
        **getattr(pickler, "dispatch_table", copyreg.dispatch_table),
        **_descriptors.reducers(),
        **dict.fromkeys(BESIDE, send_beside),
    }
    # not by assignment: cloudpickle's class has an attribute of that name
    vars(pickle.Pickler)["dispatch_table"].__set__(pickler, table)
    try:
        pickler.dump(obj)
    except BaseException:
        for part in parts:  # which may live as long as the traceback
            if isinstance(part, _Descriptor):
                os.close(part.take())
        raise
    return file.getvalue(), parts, buffers


def _attempt(pickler_type: type[pickle.Pickler], obj: object) -> Pickled | Exception:
    """Pickle an object, or return why not."""
    try:
        return _dumps(pickler_type, obj)
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # noqa: BLE001 (foreign code raises what it likes)
        return error


def dumps(obj: object, name: str) -> Pickled:
    """Pickle an object; `name` is of the type that the codec does not know.

    What is defined in `__main__`, which is another module in another interpreter, or where pickle does
    not find it, goes by value if cloudpickle is there; without it, that are functions which are no closures,
    and they find their global names in the receiver's `__main__`.

    Raises:
        NotShareableError: it cannot be pickled; its cause is why.
    """
    by_value: Pickled | Exception | None = None
    pickled = _attempt(pickle.Pickler, obj)
    try:
        if isinstance(pickled, Exception) or b"__main__" in pickled[0]:
            try:
                from cloudpickle import Pickler
            except ImportError:
                Pickler = _CodePickler
            by_value = _attempt(Pickler, obj)
            if not isinstance(by_value, Exception) or (
                isinstance(pickled, Exception) and Pickler is not _CodePickler
            ):
                pickled = by_value
        if isinstance(pickled, Exception):
            raise NotShareableError(
                f"{name} object cannot be sent to another interpreter: {pickled}"
            ) from pickled
        return pickled
    finally:
        # The tracebacks of exceptions lead to this frame: a cycle, which would keep obj.
        del pickled, by_value


def loads(data: bytes, parts: list[Any], buffers: list[memoryview]) -> Any:
    """Return the object."""
    outer = getattr(_receiving, "parts", None)
    _receiving.parts = parts
    try:
        return pickle.loads(data, buffers=buffers)
    except Exception as error:
        error.add_note("while unpickling an object that another interpreter has sent")
        if "__main__" in str(error):
            error.add_note(
                "It is defined in the __main__ of the sender: put it into a module, or install "
                "cloudpickle."
            )
        raise
    finally:
        _receiving.parts = outer
