# SPDX-License-Identifier: MIT
"""What several test files need."""

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NoReturn

import pytest

from subinterpreters import create, create_channel, select

# The kinds of interpreters that this CPython can have, and the default one.
KINDS = ["private"] if sys.version_info < (3, 12) else ["own", "shared", "private"]
DEFAULT = KINDS[0]

# Those in which code that computes lets others have the GIL (on 3.12 not that of another interpreter).
YIELDING_KINDS = [kind for kind in KINDS if kind != "shared" or sys.version_info >= (3, 13)]

# Those in which an event loop can run beside another one: on 3.12 two loops in one Python runtime end
# the process, also with nothing but CPython's own modules.
LOOP_KINDS = KINDS if sys.version_info[:2] != (3, 12) else ["private"]

# With SUBI_TEST_LONG=1 some tests go on for minutes.
LONG = os.environ.get("SUBI_TEST_LONG") == "1"

WAIT = 30  # seconds: after that, something hangs
TRACEBACK = "Traceback (most recent call last)"
CRASHES = (
    "Fatal Python error",
    "ERROR: AddressSanitizer",
    ": runtime error: ",
    "_PyMem_DebugRawFree",
    "Segmentation fault",
)

# make asan-python
UNDER_ASAN = "libasan" in os.environ.get("LD_PRELOAD", "")

# How many times as long a process may take there: making an interpreter takes twice as long, imports more.
SLOWER = 4 if UNDER_ASAN else 1

# For programs that have nothing to do with the package: apt-get hangs in the sanitizer.
TOOL_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}

# Examples find their neighbours as any script does, however the tests are run.
SCRIPT_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}

# For scripts of run_script.
IN_PARALLEL = """
import threading

def in_parallel(interps, code):
    failed = []
    def run(interp):
        try:
            interp.exec(code)
        except BaseException as error:
            failed.append(error)
    threads = [threading.Thread(target=run, args=[interp]) for interp in interps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
"""


def not_under_asan(reason: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(UNDER_ASAN, reason=f"AddressSanitizer {reason}")


def run_program(
    command: list[str],
    *,
    timeout: float = WAIT,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command; if it takes too long, it ends with all that it has started."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        cwd=cwd,
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=SLOWER * timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its children hold the pipes, too
        raise
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


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
    done = run_program(command, timeout=timeout, env=env)
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


def is_free(owner: bytearray) -> bool:
    """Whether nobody has a view of a bytearray."""
    try:
        owner.append(0)
    except BufferError:
        return False
    del owner[-1]
    return True


class Node:
    """An object that pickle knows; other interpreters can import its class."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts


class Lent:
    """An object whose memory pickle does not copy."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Lent, (pickle.PickleBuffer(self.data),)


class Reduced:
    """An object that is pickled as the call of a function."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


class Unsendable:
    """An object that raises when it is pickled."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error("as told")


class Echo:
    """An interpreter that sends back what it gets."""

    def __init__(self) -> None:
        self.interp = create()
        ask, self.ask = create_channel()
        self.answer, answer = create_channel()
        self.ended, ended = create_channel()
        self.interp.prepare_main(ask=ask, answer=answer)
        self.run = start(self.interp.exec, "for each in ask: answer.send(each)")
        self.run.add_done_callback(lambda _: ended.send(None))

    def __call__(self, obj: Any) -> Any:
        self.ask.send(obj)
        case, got = select(self.answer, self.ended, timeout=WAIT)
        if case == 1:
            self.run.result(WAIT)
        return got

    def close(self) -> None:
        self.ask.close()
        self.run.result(WAIT)
        self.interp.close()


def unavailable(reason: str) -> NoReturn:
    """Skip what is not here; where CI runs, all has to be."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    raise AssertionError(reason)


def cpython_311_tests() -> Path:
    """The folder with CPython 3.11's own tests, the package `test`."""
    tool = Path(__file__).resolve().parents[2] / "tools" / "cpython-tests"
    try:
        done = subprocess.run(
            [tool], capture_output=True, text=True, timeout=60, check=False, env=TOOL_ENVIRONMENT
        )
    except subprocess.TimeoutExpired:
        unavailable("tools/cpython-tests takes too long")
    if done.returncode != 0:
        unavailable(f"no tests of CPython 3.11 here: {done.stderr}")
    return Path(done.stdout.strip())
