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

from subinterpreters._subinterpreters import (
    ChannelClosedError,
    ChannelEmptyError,
    ChannelError,
    ChannelFullError,
    ChannelNotFoundError,
    ExecutionFailed,
    Interpreter,
    InterpreterClosedError,
    InterpreterError,
    InterpreterNotFoundError,
    NotShareableError,
    RecvChannel,
    SendChannel,
    create,
    create_channel,
    get_current,
    get_main,
    get_reserve_limit,
    legacy_module,
    list_all,
    select,
    select_async,
    set_reserve_limit,
)

__all__ = [
    "ChannelClosedError",
    "ChannelEmptyError",
    "ChannelError",
    "ChannelFullError",
    "ChannelNotFoundError",
    "ExecutionFailed",
    "Interpreter",
    "InterpreterClosedError",
    "InterpreterError",
    "InterpreterNotFoundError",
    "NotShareableError",
    "RecvChannel",
    "SendChannel",
    "create",
    "create_channel",
    "get_current",
    "get_main",
    "get_reserve_limit",
    "list_all",
    "select",
    "select_async",
    "set_reserve_limit",
]

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:  # every interpreter imports this package: it costs as little as it can
    from importlib.machinery import ModuleSpec


def _install_xxsubinterpreters(spec: "ModuleSpec | None" = None) -> None:
    """Make `import _xxsubinterpreters` find the module of this package in this interpreter."""
    name = "_xxsubinterpreters"
    if spec is None:
        spec = type(__spec__)(name, None, origin=__file__)
    module = legacy_module(spec)
    module.__spec__ = spec
    module.__loader__ = spec.loader
    module.__file__ = spec.origin
    sys.modules[name] = module
