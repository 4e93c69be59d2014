# SPDX-License-Identifier: MIT
"""Every test closes the interpreters and channels that it opened."""

import gc
import importlib
from collections.abc import Iterator

import pytest
from support import Echo

import subinterpreters

subinterpreters._install_xxsubinterpreters()  # 3.11 and 3.12 have one, too

# Interpreters that are made in advance at any time are none of what a test leaves behind, or has open. What is
# tested of them has processes of its own.
subinterpreters._subinterpreters._pause_making()


def whatever_is_open() -> set[str]:
    legacy = importlib.import_module("_xxsubinterpreters")
    return {repr(each) for each in subinterpreters.list_all() + legacy.channel_list_all()}


def keep_what_is_left() -> None:
    """Have the collections after each test look at what is made from now on.

    pytest keeps more and more of each test, and to look at all of that after each takes time.
    """
    gc.collect()
    gc.freeze()


def pytest_collection_finish() -> None:
    keep_what_is_left()


@pytest.fixture(autouse=True, scope="module")
def what_pytest_keeps() -> Iterator[None]:
    """The first fixture of a file: when it ends the file's others have ended, too."""
    yield
    keep_what_is_left()


@pytest.fixture(autouse=True)
def nothing_left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    before = whatever_is_open()
    failures = request.session.testsfailed
    yield
    if request.session.testsfailed > failures:
        return  # the traceback keeps the test's objects alive
    gc.collect()
    left = whatever_is_open() - before
    assert not left or request.node.get_closest_marker("leaves_open"), f"left open: {left}"


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    each = Echo()
    yield each
    each.close()
