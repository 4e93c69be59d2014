# SPDX-License-Identifier: MIT
"""What several test files need."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

WAIT = 30  # seconds: after that, something hangs
TRACEBACK = "Traceback (most recent call last)"
CRASHES = ("Fatal Python error", "AddressSanitizer", "_PyMem_DebugRawFree", "Segmentation fault")


def run_script(
    code: str,
    *args: str,
    timeout: float = WAIT,
    returncode: int = 0,
    env: dict[str, str] | None = None,
    traceback: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run code in a new process; `returncode` and a clean stderr are asserted.

    A traceback in stderr fails unless `traceback` allows it or returncode is 1.
    """
    command = [sys.executable, "-X", "faulthandler", "-P", "-c", textwrap.dedent(code), *args]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its children hold the pipes, too
        raise
    done = subprocess.CompletedProcess(command, process.returncode, stdout, stderr)
    told = f"\nreturncode {done.returncode}\nstdout:\n{done.stdout}\nstderr:\n{done.stderr}"
    assert done.returncode == returncode, told
    for crash in CRASHES:
        assert crash not in done.stderr, told
    assert traceback or returncode == 1 or TRACEBACK not in done.stderr, told
    return done


def start(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
    """Call function on a thread of its own, which never keeps the process from ending."""
    future: Future[Any] = Future()

    def call() -> None:
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001
            future.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    return future
