# SPDX-License-Identifier: MIT
"""Running code in one interpreter again and again, against concurrent.interpreters."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from common.contenders import need_stdlib
from common.harness import Result, compare_two, main, per_call

import subinterpreters


@contextmanager
def one_of_each() -> Iterator[tuple[Any, Any]]:
    """An interpreter of ours, and one of theirs."""
    ours, theirs = subinterpreters.create(), need_stdlib().create()
    try:
        yield ours, theirs
    finally:
        ours.close()
        theirs.close()


def run_string() -> Result:
    """run_string(id, "pass") again and again in one interpreter, against exec("pass")."""
    theirs = need_stdlib().create()
    subinterpreters._install_xxsubinterpreters()
    import _xxsubinterpreters as legacy

    ours = legacy.create()
    try:
        return compare_two(
            'run "pass"',
            1 / 10,
            subinterpreters=lambda: per_call(lambda: legacy.run_string(ours, "pass"), 2000),
            stdlib=lambda: per_call(lambda: theirs.exec("pass"), 200),
        )
    finally:
        legacy.destroy(ours)
        theirs.close()


def exec_pass() -> Result:
    """exec("pass") again and again in one interpreter: ours compiles it once."""
    with one_of_each() as (ours, theirs):
        return compare_two(
            'exec("pass")',
            1 / 50,
            subinterpreters=lambda: per_call(lambda: ours.exec("pass"), 2000),
            stdlib=lambda: per_call(lambda: theirs.exec("pass"), 200),
        )


def exec_new_text() -> Result:
    """The same with another text each time, so that it has to be compiled."""
    numbers = itertools.count()
    with one_of_each() as (ours, theirs):
        return compare_two(
            'exec(f"x = {number}"), a new text each time',
            1 / 5,
            subinterpreters=lambda: per_call(lambda: ours.exec(f"x = {next(numbers)}"), 2000),
            stdlib=lambda: per_call(lambda: theirs.exec(f"x = {next(numbers)}"), 200),
        )


def double(number: int) -> int:
    """Be called."""
    return 2 * number


def call() -> Result:
    """call(f, 1) again and again in one interpreter."""
    with one_of_each() as (ours, theirs):
        return compare_two(
            "call(f, 1)",
            1 / 50,
            subinterpreters=lambda: per_call(lambda: ours.call(double, 1), 2000),
            stdlib=lambda: per_call(lambda: theirs.call(double, 1), 200),
        )


if __name__ == "__main__":
    main(__doc__, run_string, exec_pass, exec_new_text, call)
