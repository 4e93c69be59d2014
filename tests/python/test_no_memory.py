# SPDX-License-Identifier: MIT
"""The tests of no_memory.py, in a process without other threads.

They replace CPython's allocators again and again, and a thread that allocates or frees something just then would
find half of the one and half of the other: pytest's own, which watch over time-outs, do that when they start and end.
"""

import sys
from pathlib import Path

import pytest
from support import run_program

TESTS = Path(__file__).with_name("no_memory.py")


@pytest.mark.timeout(400)
def test_no_memory() -> None:
    pytest.importorskip("_testcapi", reason="this CPython is without its module for tests")
    options = ["-q", "-p", "no:faulthandler", "-p", "no:cacheprovider", "-o", "timeout=0"]
    done = run_program(
        [sys.executable, "-P", "-X", "faulthandler", "-m", "pytest", *options, str(TESTS)],
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
