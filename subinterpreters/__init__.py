# SPDX-License-Identifier: MIT
"""Interpreters inside one process: parallel, and joined by channels that cost microseconds.

>>> import subinterpreters
>>> recv, send = subinterpreters.create_channel()
>>> with subinterpreters.create() as interp:
...     interp.prepare_main(send=send)
...     interp.exec("send.send(6 * 7)")
>>> recv.recv()
42
"""

import sys

from subinterpreters import _subinterpreters as _subinterpreters  # a call may have made it before
from subinterpreters._subinterpreters import (
    BoundedSemaphore,
    ChannelClosedError,
    ChannelEmptyError,
    ChannelError,
    ChannelFullError,
    ChannelNotFoundError,
    Condition,
    Event,
    ExecutionFailed,
    Interpreter,
    InterpreterClosedError,
    InterpreterError,
    InterpreterNotFoundError,
    Lock,
    LockOwnerDiedError,
    NotShareableError,
    Queue,
    RecvChannel,
    RLock,
    Semaphore,
    SendChannel,
    SharedBuffer,
    create,
    create_channel,
    create_queue,
    get_current,
    get_main,
    get_reserve_count,
    get_reserve_limit,
    is_shareable,
    legacy_module,
    list_all,
    select,
    select_async,
    set_reserve_limit,
    warm_reserve,
)

__all__ = [
    "UNBOUND",
    "UNBOUND_ERROR",
    "UNBOUND_REMOVE",
    "Barrier",
    "BoundedSemaphore",
    "BrokenBarrierError",
    "BrokenInterpreterPool",
    "ChannelClosedError",
    "ChannelEmptyError",
    "ChannelError",
    "ChannelFullError",
    "ChannelNotFoundError",
    "Condition",
    "Event",
    "ExecutionFailed",
    "Interpreter",
    "InterpreterClosedError",
    "InterpreterError",
    "InterpreterNotFoundError",
    "InterpreterPoolExecutor",
    "ItemInterpreterDestroyed",
    "Lock",
    "LockOwnerDiedError",
    "LogListener",
    "NotShareableError",
    "Queue",
    "QueueEmpty",
    "QueueError",
    "QueueFull",
    "QueueNotFoundError",
    "RLock",
    "RecvChannel",
    "Semaphore",
    "SendChannel",
    "SharedBuffer",
    "create",
    "create_channel",
    "create_queue",
    "get_current",
    "get_include",
    "get_library",
    "get_main",
    "get_reserve_count",
    "get_reserve_limit",
    "is_shareable",
    "list_all",
    "log_to_parent",
    "select",
    "select_async",
    "set_reserve_limit",
    "warm_reserve",
]

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:  # every interpreter imports this package: it costs as little as it can
    from importlib.machinery import ModuleSpec

    from subinterpreters._barrier import Barrier, BrokenBarrierError
    from subinterpreters._logging import LogListener, log_to_parent
    from subinterpreters._pool import InterpreterPoolExecutor
    from subinterpreters._queues import (
        UNBOUND,
        UNBOUND_ERROR,
        UNBOUND_REMOVE,
        ItemInterpreterDestroyed,
        QueueEmpty,
        QueueError,
        QueueFull,
        QueueNotFoundError,
    )
    from subinterpreters._workers import BrokenInterpreterPool

# Where names come from that need more imports than most programs do.
_LATER = {"Barrier": "_barrier", "BrokenBarrierError": "_barrier"}
_LATER |= {"BrokenInterpreterPool": "_workers", "InterpreterPoolExecutor": "_pool"}
_LATER |= {"LogListener": "_logging", "log_to_parent": "_logging"}
_LATER |= dict.fromkeys(
    [
        "UNBOUND",
        "UNBOUND_ERROR",
        "UNBOUND_REMOVE",
        "ItemInterpreterDestroyed",
        "QueueEmpty",
        "QueueError",
        "QueueFull",
        "QueueNotFoundError",
    ],
    "_queues",
)


if not TYPE_CHECKING:  # a type checker would take any name for one of this package

    def __getattr__(name):
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f"subinterpreters.{_LATER[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """For help(), which has the names that come later, too."""
    return sorted(globals().keys() | _LATER)


def get_include() -> str:
    """Return the path of the folder with subinterp.h, the header of libsubinterp, for C compilers."""
    return __path__[0] + "/include"


def get_library() -> str:
    """Return the path of libsubinterp, the library that C code uses to feed channels."""
    return __path__[0] + "/libsubinterp.so"


def _install_xxsubinterpreters(spec: "ModuleSpec | None" = None) -> None:
    """Make `import _xxsubinterpreters` find the module of this package in this interpreter."""
    name = "_xxsubinterpreters"
    found: ModuleSpec = spec or type(__spec__)(name, None, origin=__file__)
    module = legacy_module(found)
    module.__spec__ = found
    module.__loader__ = found.loader
    module.__file__ = found.origin
    sys.modules[name] = module
