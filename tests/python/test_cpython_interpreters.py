# SPDX-License-Identifier: MIT
"""CPython 3.14's own tests of concurrent.interpreters and of locks, run on this package."""

import importlib.util
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from support import SCRIPT_ENVIRONMENT, TOOL_ENVIRONMENT, run_script, unavailable

if sys.version_info[:2] != (3, 14):
    pytest.skip("the tests are those of CPython 3.14", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
DROP_IN = ROOT / "tests" / "python" / "drop_in"

# Tests with one of these in their names are not run.
LEFT_OUT = {
    ".LowLevelTests.": "of _interpreters and _interpqueues, which are not used here",
    "created_with_capi": "of interpreters that _testinternalcapi makes",
}

# What fails, and why.

MORE_CAN_BE_SENT = (
    "what it expects to be refused can be sent: see 'What can be sent' in the reference"
)
IN_C = "it expects Python code where there is C here"
PRIVATE = "it uses a private attribute"
OTHER_REPR = (
    "the repr tells the number of the lock, which is the same in all interpreters, and who has it"
)
OUTLIVES = "items outlive the interpreter that has put them, if nothing else is asked for"

OF_INTERPRETERS = {
    "test_api.InterpreterObjectTests.test_init_interpreter_id": PRIVATE,
    "test_api.InterpreterObjectTests.test_whence [from C-API]": "made by _testinternalcapi, too",
    "test_api.ListAllTests.test_destroyed_by_gc": IN_C,
    "test_api.TestInterpreterCall.test_call_in_thread [invalid case #1]": MORE_CAN_BE_SENT,
    "test_api.TestInterpreterCall.test_call_in_thread [invalid case #2]": MORE_CAN_BE_SENT,
    "test_api.TestInterpreterClose.test_already_destroyed": "closing again does nothing",
    "test_api.TestInterpreterExec.test_display_preserved_exception": IN_C,
    "test_api.TestInterpreterIsRunning.test_from_subinterpreter": "it asks _interpreters",
    "test_api.TestInterpreterPrepareMain.test_empty": "to bind nothing is no error",
    "test_api.TestInterpreterPrepareMain.test_not_shareable": MORE_CAN_BE_SENT,
    "test_queues.TestQueueOps.test_put_cleared_with_subinterpreter [default]": OUTLIVES,
    "test_queues.TestQueueOps.test_put_cleared_with_subinterpreter_mixed": OUTLIVES,
    "test_queues.TestQueueOps.test_timeout_uses_monotonic_clock": IN_C,
} | {
    f"test_api.TestInterpreterCall.{test} [{case}]": MORE_CAN_BE_SENT
    for test, cases in {
        "test_call_invalid": [
            "<function call_func_complex> (closure)",
            "<function call_func_complex> (custom-inner)",
            "<function get_call_func_closure.<locals>.call_func_closure>",
            "<function get_call_func_closure>",
        ],
        "test_callable_requires_frame": [
            "<built-in function globals>",
            "<built-in function locals>",
            "<built-in function vars>",
        ],
        "test_func_in___main___invalid": ["lying about __main__", "pickleable, added dynamically"],
        "test_stateless_func_returns_arg": [
            "unpickleable <function spam_C.<locals>.eggs_closure>",
            "unpickleable <function spam_CC.<locals>.eggs_closure_C.<locals>.ham_C_closure>",
            "unpickleable <function spam_CC.<locals>.eggs_closure_C>",
            "unpickleable <function spam_CN.<locals>.eggs_closure_N>",
            "unpickleable <function spam_NC.<locals>.eggs_nested_C.<locals>.ham_closure>",
            "unpickleable <function spam_NC.<locals>.eggs_nested_C>",
            "unpickleable mappingproxy({})",
        ],
        "test_stateless_funcs": ["no args, returns unpickleable"],
    }.items()
    for case in cases
}

OF_LOCKS = {
    "Barrier.test_repr": OTHER_REPR,
    "BoundedSemaphore.test_repr": OTHER_REPR,
    "Event.test_at_fork_reinit": PRIVATE,
    "Event.test_repr": OTHER_REPR,
    "Lock.test_at_fork_reinit": PRIVATE,
    "Semaphore.test_repr": OTHER_REPR,
} | {
    f"{lock}.{test}": reason
    for test, reason in {
        "test__is_owned": PRIVATE,
        "test_locked_repr": OTHER_REPR,
        "test_recursion_count": PRIVATE,
        "test_release_save_unacquired": PRIVATE,
        "test_repr": OTHER_REPR,
        "test_repr_count": OTHER_REPR,
        "test_timeout": "a timeout of 1e100 seconds is for ever",
    }.items()
    for lock in ["Condition as RLock", "Lock", "RLock"]
    if lock != "Lock" or test in ("test_locked_repr", "test_repr", "test_timeout")
}

REPORT = """
    import json, re, sys, unittest

    def report(tests, name):
        result = unittest.TextTestRunner(sys.stderr).run(unittest.TestSuite(tests))
        def names(found):
            return sorted({re.sub(" at 0x[0-9a-f]+", "", name(case)) for case, _ in found})
        found = {
            "run": result.testsRun,
            "failed": names(result.failures + result.errors),
            "skipped": names(result.skipped),
        }
        print("report", json.dumps(found))
    """

INTERPRETERS = """
    import _interpreters
    import subinterpreters
    from concurrent import interpreters
    from test.test_interpreters import utils

    assert interpreters is subinterpreters

    def clean_up():
        for interp in interpreters.list_all():
            try:
                if interp.isolation == "foreign":  # some tests make them
                    _interpreters.destroy(interp.id)
                elif interp != interpreters.get_main():
                    interp.close()
            except (_interpreters.InterpreterError, interpreters.InterpreterError):
                pass

    def cases(tests):
        for each in tests:
            if isinstance(each, unittest.TestSuite):
                yield from cases(each)
            else:
                yield each

    utils.clean_up_interpreters = clean_up
    modules = [f"test.test_interpreters.test_{m}" for m in ("api", "queues", "lifecycle")]
    every = cases(unittest.defaultTestLoader.loadTestsFromNames(modules))
    chosen = [case for case in every if not any(part in case.id() for part in sys.argv[1:])]
    report(chosen, lambda case: case.id().removeprefix("test.test_interpreters."))
    """

LOCKS = """
    import threading
    import types
    import subinterpreters
    from test import lock_tests

    # a condition is made of a lock of this package
    lock_tests.threading = types.SimpleNamespace(**vars(threading) | {"Lock": subinterpreters.Lock})
    tests = []
    for name, maker in [
        ("Lock", "locktype"),
        ("RLock", "locktype"),
        ("Condition as RLock", "locktype"),
        ("Condition", "condtype"),
        ("Event", "eventtype"),
        ("Semaphore", "semtype"),
        ("BoundedSemaphore", "semtype"),
        ("Barrier", "barriertype"),
    ]:
        ours, _, like = name.partition(" as ")
        base = getattr(lock_tests, f"{like or ours}Tests")
        of_ours = type(name, (base,), {maker: staticmethod(getattr(subinterpreters, ours))})
        tests.append(unittest.defaultTestLoader.loadTestsFromTestCase(of_ours))
    report(tests, lambda case: case.id().removeprefix("__main__."))
    """


def has_tests() -> bool:
    importlib.invalidate_caches()
    try:
        return importlib.util.find_spec("test.test_interpreters.test_api") is not None
    except ModuleNotFoundError:
        return False


@pytest.fixture(autouse=True, scope="module")
def suite() -> None:
    if has_tests():
        return
    command = [ROOT / "tools" / "python", "--tests", "3.14"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=100, check=False, env=TOOL_ENVIRONMENT
        )
    except subprocess.TimeoutExpired:
        unavailable("tools/python --tests takes too long")
    if done.returncode != 0 or not has_tests():
        unavailable(f"this Python comes without its tests: {done.stderr}")


def run_tests(code: str, *args: str, fails: dict[str, str]) -> Any:
    env = SCRIPT_ENVIRONMENT | {"PYTHONPATH": str(DROP_IN)}
    script = textwrap.dedent(REPORT) + textwrap.dedent(code)
    done = run_script(script, *args, timeout=200, env=env, traceback=True)
    [line] = [line for line in done.stdout.splitlines() if line.startswith("report ")]
    report = json.loads(line.removeprefix("report "))
    assert report["failed"] == sorted(fails), done.stderr
    return report


@pytest.mark.timeout(240)
def test_what_cpython_tests_of_interpreters() -> None:
    report = run_tests(INTERPRETERS, *LEFT_OUT, fails=OF_INTERPRETERS)
    assert report["run"] >= 110
    assert report["skipped"] == [  # by themselves, always
        "test_api.TestInterpreterClose.test_still_running",
        "test_api.TestInterpreterExec.test_already_running",
        "test_api.TestInterpreterIsRunning.test_subinterpreter",
    ]


@pytest.mark.timeout(240)
def test_what_cpython_tests_of_locks() -> None:
    report = run_tests(LOCKS, fails=OF_LOCKS)
    assert report["run"] >= 110
    assert report["skipped"] == []
