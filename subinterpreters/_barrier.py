# SPDX-License-Identifier: MIT
"""The barrier, whose action is a Python object. The package imports this when it is wanted."""

from __future__ import annotations

from collections.abc import Callable
from threading import BrokenBarrierError
from typing import Any

from subinterpreters._subinterpreters import _Barrier

__all__ = ["Barrier", "BrokenBarrierError"]


class Barrier:
    """A barrier as threading.Barrier, for the threads of all interpreters that it is sent to.

    >>> barrier = Barrier(1, action=lambda: print("all are here"))
    >>> barrier.wait()
    all are here
    0
    """

    __slots__ = ("__weakref__", "_action", "_state", "_timeout")

    def __init__(
        self,
        parties: int,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
    ) -> None:
        """Make a barrier.

        Args:
            parties: how many have to wait for all to go on.
            action: called by the last one before all go on. It is sent with the barrier, so it has to
                be something that can be sent; each interpreter has its own copy.
            timeout: seconds, for waits that say nothing else; None is for ever.

        Raises:
            TypeError, ValueError: parties is less than 1, action cannot be called, timeout is negative.
        """
        if action is not None and not callable(action):
            raise TypeError(f"action must be callable or None, got {type(action).__name__}")
        self._state = _Barrier(parties, action is not None, timeout)
        self._action, self._timeout = action, timeout

    def wait(self, timeout: float | None = None) -> int:
        """Wait until there are as many as parties.

        Args:
            timeout: seconds to wait at most; None is what the barrier was made with.

        Returns:
            Which of them this one was, from 0 to parties - 1.

        Raises:
            BrokenBarrierError: the barrier is broken, or was broken or reset meanwhile; somebody gave
                up waiting, or the action raised; or the time is over, which breaks it, too.
            ValueError: timeout is negative.
            RuntimeError: in the child of a fork.
        """
        return self._state.wait(self._timeout if timeout is None else timeout, self._action)

    def reset(self) -> None:
        """Make it as new. Those that wait get BrokenBarrierError."""
        self._state.reset()

    def abort(self) -> None:
        """Break it. Those that wait, and those that come later, get BrokenBarrierError."""
        self._state.abort()

    @property
    def id(self) -> int:
        """Its number, the same in every interpreter."""
        return self._state.id

    @property
    def parties(self) -> int:
        """How many have to wait for all to go on."""
        return self._state.look()[0]

    @property
    def n_waiting(self) -> int:
        """How many wait."""
        return self._state.look()[1]

    @property
    def broken(self) -> bool:
        """Whether it is broken."""
        return self._state.look()[2]

    def __eq__(self, other: object) -> bool:
        """Whether both are the same barrier."""
        return self._state == other._state if isinstance(other, Barrier) else NotImplemented

    def __hash__(self) -> int:
        """As equality."""
        return hash(self._state)

    def __repr__(self) -> str:
        """What it is, and how many wait."""
        try:
            parties, waiting, broken = self._state.look()
        except RuntimeError:
            return f"<Barrier {self.id} of another process>"
        return f"<Barrier {self.id} {'broken' if broken else f'waiters={waiting}/{parties}'}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """For sending it; elsewhere the core's part cannot be pickled."""
        return _restored, (self._state, self._action, self._timeout)


Barrier.__module__ = "subinterpreters"


def _restored(
    state: _Barrier, action: Callable[[], object] | None, timeout: float | None
) -> Barrier:
    barrier = Barrier.__new__(Barrier)
    barrier._state, barrier._action, barrier._timeout = state, action, timeout
    return barrier
