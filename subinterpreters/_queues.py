# SPDX-License-Identifier: MIT
"""What queues need besides the type: exceptions and constants, with the names of concurrent.interpreters."""

from queue import Empty, Full
from typing import final

from subinterpreters._subinterpreters import Queue, create_queue, list_queues

__all__ = [
    "UNBOUND",
    "UNBOUND_ERROR",
    "UNBOUND_REMOVE",
    "ItemInterpreterDestroyed",
    "Queue",
    "QueueEmpty",
    "QueueError",
    "QueueFull",
    "QueueNotFoundError",
    "create",
    "list_all",
]

create = create_queue
list_all = list_queues


class QueueError(Exception):
    """An operation on a queue failed. Base of the others."""


class QueueNotFoundError(QueueError):
    """There is no such queue, or not any more."""


class QueueEmpty(QueueError, Empty):
    """There is nothing to get."""


class QueueFull(QueueError, Full):
    """There is no room to put anything."""


class ItemInterpreterDestroyed(QueueError):
    """The interpreter that put the item is closed."""


@final
class _Constant:
    """One of the values of `unbounditems`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"<{self._name}>"

    def __reduce__(self) -> str:
        return self._name


UNBOUND = _Constant("UNBOUND")
UNBOUND_ERROR = _Constant("UNBOUND_ERROR")
UNBOUND_REMOVE = _Constant("UNBOUND_REMOVE")
