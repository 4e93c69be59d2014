# SPDX-License-Identifier: MIT
"""What may go wrong at each stage of a task of a pool: the pool goes on, or the process ends as C code wants it."""

import sys
import threading
from typing import Any

import pool_tasks as tasks
import pytest
from support import KINDS, WAIT, run_program

from subinterpreters import InterpreterPoolExecutor, NotShareableError

FAULTS = {
    "raise": (tasks.raise_error, LookupError),
    "SystemExit": (tasks.leave, SystemExit),
    "_thread.exit": (tasks.leave_thread, SystemExit),
}

# Each submits something in which the fault happens at that stage, and returns the future.
STAGES: dict[str, Any] = {
    "pickle arg": lambda pool, fault: pool.submit(tasks.echo, tasks.AtPickle(fault)),
    "unpickle arg": lambda pool, fault: pool.submit(tasks.echo, tasks.AtUnpickle(fault)),
    "call": lambda pool, fault: pool.submit(fault),
    "pickle result": lambda pool, fault: pool.submit(tasks.AtPickle, fault),
    "unpickle result": lambda pool, fault: pool.submit(tasks.AtUnpickle, fault),
    "__del__": lambda pool, fault: pool.submit(tasks.end_object, fault),
}


def call_back(pool: InterpreterPoolExecutor, fault: Any) -> Any:
    future = pool.submit(tasks.square, 3)
    future.add_done_callback(lambda _: fault())
    return future


STAGES["callback"] = call_back
HARMLESS = {"__del__": "returned", "callback": 9}  # what comes nevertheless


@pytest.fixture(scope="module", params=KINDS)
def pool(request: pytest.FixtureRequest) -> Any:
    with InterpreterPoolExecutor(1, isolation=request.param) as pool:
        pool.submit(int).result(WAIT)
        yield pool


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stage", STAGES)
def test_the_pool_goes_on(pool: InterpreterPoolExecutor, stage: str, fault: str) -> None:
    action, error = FAULTS[fault]
    worker = pool.submit(tasks.where).result(WAIT)
    for _ in range(3):
        submit = STAGES[stage]
        if stage == "pickle arg" and error is SystemExit:  # it is the caller who leaves
            with pytest.raises(SystemExit):
                submit(pool, action).result(WAIT)
            continue
        future = submit(pool, action)
        if stage in HARMLESS:
            assert future.result(WAIT) == HARMLESS[stage]
            continue
        raised = future.exception(WAIT)
        if stage.startswith("pickle") and error is LookupError:
            error = NotShareableError
        assert isinstance(raised, error), raised
        assert "as told" in str(raised) or error is SystemExit
    assert list(pool.map(tasks.square, range(20))) == [n * n for n in range(20)]
    assert pool.submit(tasks.where).result(WAIT) == worker
    called = threading.Event()  # callbacks come one after the other
    pool.submit(int).add_done_callback(lambda _: called.set())
    assert called.wait(WAIT)


# ---- the process ends -----------------------------------------------------------------------------

END = """
import sys
import test_pool_failures as here
from subinterpreters import InterpreterPoolExecutor

stage, fault = sys.argv[1:]
kind = "private" if sys.version_info < (3, 13) else None  # for ctypes
pool = InterpreterPoolExecutor(1, isolation=kind)
future = here.STAGES[stage](pool, getattr(here.tasks, fault))
print(future.result(10))
pool.submit(int).result(10)
print("still there")
"""

IN_C = {"exit_in_c": 17, "crash": -11}


@pytest.mark.parametrize("fault", IN_C)
@pytest.mark.parametrize("stage", STAGES)
def test_the_process_ends(stage: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ":".join(each for each in sys.path if "tests/python" in each))
    done = run_program([sys.executable, "-P", "-c", END, stage, fault])
    assert done.returncode == IN_C[fault], done.stderr
    # a future is done before its callbacks are called, on another thread: the program may be faster
    assert stage == "callback" or "still there" not in done.stdout
