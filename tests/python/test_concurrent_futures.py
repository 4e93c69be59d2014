# SPDX-License-Identifier: MIT
"""CPython's own tests of concurrent.futures, run on InterpreterPoolExecutor of this package.

Those of 3.13 and newer are those of the running CPython, if it comes with them; on older ones they are those of
3.11. What they have for the standard InterpreterPoolExecutor is run as it is, what they have for executors of all
kinds with this one in addition, and what they have for ThreadPoolExecutor with this one in its place.
"""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from support import SCRIPT_ENVIRONMENT, cpython_311_tests, run_script, unavailable

ROOT = Path(__file__).resolve().parents[2]
DROP_IN = ROOT / "tests" / "python" / "drop_in"

# Tests whose names these are found in are not run.
LEFT_OUT = {
    "test_blocking$": "as that with limited workers, but for half a minute",
    "crash": "a crash in C code ends the process",
    "Deadlock.test_shutdown_deadlock": "it crashes; and one uses what only ProcessPoolExecutor has",
    "Deadlock.test_gh105829": "of the pipe that ProcessPoolExecutor has",
    "ThreadPool.test_hang_global_shutdown_lock": "of the private lock of ThreadPoolExecutor",
    "ThreadPool.test_process_fork_from_a_threadpool": "a worker is no thread to fork the process from",
}

# What fails, and why.

MORE_CAN_BE_SENT = "it can be sent: see 'Calls' in the reference"
LOCAL = "what it submits is a closure with a lock, an event or a list of its own"

FAILS = {
    "InterpreterPoolExecutorTest.test_init_closure": MORE_CAN_BE_SENT,
    "InterpreterPoolExecutorTest.test_init_instance_method": MORE_CAN_BE_SENT,
    "InterpreterPoolExecutorTest.test_init_with___main___global": (
        "functions of __main__ that refer to others are sent by value, each with its own globals"
    ),
    "InterpreterPoolExecutorTest.test_pickle_errors_propagate": (
        "what unpickling raises there comes as it is"
    ),
    "InterpreterPoolExecutorTest.test_submit_closure": MORE_CAN_BE_SENT,
    "InterpreterPoolExecutorTest.test_submit_exception_in_func": (
        "the exception's type is of that name, and an ExecutionFailed, too"
    ),
    "InterpreterPoolExecutorTest.test_submit_instance_method": MORE_CAN_BE_SENT,
    "InterpreterPoolExecutorTest.test_submit_local_instance": MORE_CAN_BE_SENT,
    "ThreadPool.test_default_workers": "there is one worker for each processor",
    "ThreadPool.test_executor_map_current_future_cancel": LOCAL,
    "ThreadPool.test_map_submits_without_iteration": LOCAL,
    "ThreadPool.test_saturation": LOCAL,
    "ThreadPoolShutdown.test_thread_names_default": "the name is that of the class",
    "ThreadPoolShutdown.test_threads_terminate": LOCAL,
}

if sys.version_info < (3, 13):
    FAILS["ThreadPoolShutdown.test_cancel_futures_wait_false"] = (
        "the task is cancelled before there is a worker: newer ones allow that"
    )

# What skips itself, and why.
SKIPS = {
    "InterpreterPoolExecutorTest.test_free_reference": "run as Executor.test_free_reference",
    "InterpreterPoolExecutorTest.test_no_stale_references": "run as Executor.test_no_stale_references",
}

DRIVER = """
    import concurrent.futures as futures
    import faulthandler
    import importlib
    import json
    import os
    import re
    import sys
    import time
    import types
    import unittest
    from unittest import mock

    import subinterpreters
    from test.support import script_helper

    Pool = subinterpreters.InterpreterPoolExecutor
    OLD = sys.version_info < (3, 13)  # all tests are in one module
    OWN = sys.version_info >= (3, 14)  # there are some for interpreters

    def part(name):
        return importlib.import_module("test.test_concurrent_futures" + f".{name}" * (not OLD))

    if OWN:
        assert futures.InterpreterPoolExecutor is Pool

    os.chdir("/")  # here there may be the package's sources
    # the processes that they start take notice of PYTHONPATH, and have the class, too
    setattr(script_helper, "__cached_interp_requires_environment", True)
    PROLOGUE = '''
    import concurrent.futures, subinterpreters
    concurrent.futures.InterpreterPoolExecutor = subinterpreters.InterpreterPoolExecutor
    '''.replace("    ", "")

    def run_code(option, code, run=script_helper.assert_python_ok):
        return run(option, PROLOGUE + code.replace("ThreadPoolExecutor", "InterpreterPoolExecutor"))

    util, shutdown, deadlock = part("util"), part("test_shutdown"), part("test_deadlock")
    shutdown.assert_python_ok = run_code
    in_place = types.SimpleNamespace(**vars(futures) | {
        "ThreadPoolExecutor": Pool, "ProcessPoolExecutor": futures.ProcessPoolExecutor})

    class Mixin(util.ExecutorMixin):
        executor_type = Pool

        def create_event(self):
            return subinterpreters.Event()

    class Started(Mixin):
        # to make a worker, or to wake it, takes longer than to submit and cancel all tasks of a test

        def setUp(self):
            super().setUp()
            pool, submit = self.executor, self.executor.submit

            def submit_one_that_begins(*args):
                future = submit(*args)
                while not pool.stats()["busy"] and not future.done():
                    time.sleep(0.001)
                return future

            pool.submit = submit_one_that_begins

    def load(name, *bases, **attributes):
        made = type(name, (*bases, util.BaseTestCase), attributes)
        return unittest.defaultTestLoader.loadTestsFromTestCase(made)

    def own_tests(cls, *only):
        return {name: test for name, test in vars(cls).items()
                if name.startswith(only or "test")}

    tests = [
        load("Wait", part("test_wait").WaitTests, Mixin),
        load("AsCompleted", part("test_as_completed").AsCompletedTests, Mixin),
        load("Initializer", part("test_init").InitializerMixin, Mixin),
        load("FailingInitializer", part("test_init").FailingInitializerMixin, Mixin),
        load("Shutdown", shutdown.ExecutorShutdownTest, Started),
    ]
    executor = part("executor").ExecutorTest
    if OWN:  # which overrides some
        tests.append(unittest.defaultTestLoader.loadTestsFromModule(part("test_interpreter_pool")))
        some = own_tests(executor, "test_no_stale_references", "test_free_reference")
        tests.append(load("Executor", Mixin, **some))
    else:
        tests.append(load("Executor", executor, Mixin))

    # those of ThreadPoolExecutor
    threads = part("test_thread_pool")
    for name, module, cls in [
        ("ThreadPool", threads, threads.ThreadPoolExecutorTest),
        ("ThreadPoolShutdown", shutdown, shutdown.ThreadPoolShutdownTest),
    ]:
        module.futures = in_place
        tests.append(load(name, Mixin, **own_tests(cls)))

    # those of errors in processes: they must not break the pool
    class InProcess(Mixin):
        ctx = None

        @staticmethod
        def executor_type(max_workers, mp_context):
            return Pool(max_workers)

        def get_context(self):
            return mock.Mock()  # it has a manager, which is shut down

    from pickle import PicklingError, UnpicklingError
    deadlock.PicklingError = PicklingError, subinterpreters.NotShareableError
    deadlock.BrokenProcessPool = SystemExit, UnpicklingError, subinterpreters.NotShareableError
    tests.append(load("Deadlock", InProcess, deadlock.ExecutorDeadlockTest))

    # those of futures
    future = part("test_future")
    with Pool(1) as pool:
        future.Future = util.Future = type(pool.submit(int))
    future.create_future = util.create_future
    for name in ("PENDING", "RUNNING", "CANCELLED", "CANCELLED_AND_NOTIFIED"):
        setattr(future, f"{name}_FUTURE", util.create_future(getattr(future, name)))
    future.EXCEPTION_FUTURE = util.create_future(future.FINISHED, exception=OSError())
    future.SUCCESSFUL_FUTURE = util.create_future(future.FINISHED, result=42)
    tests.append(load("Future", future.FutureTests))

    def cases(tests):
        for each in tests:
            if isinstance(each, unittest.TestSuite):
                yield from cases(each)
            else:
                yield each

    def name(case):
        case = getattr(case, "test_case", case)  # of a subtest
        return f"{type(case).__name__}.{getattr(case, '_testMethodName', case)}"

    def names(found):
        return sorted({name(case) for case in found})

    class Result(unittest.TextTestResult):
        def startTest(self, test):
            faulthandler.dump_traceback_later(60, exit=True)  # which of them hangs
            super().startTest(test)

    left_out = re.compile("|".join(sys.argv[1:]))
    chosen = [case for case in cases(tests) if not left_out.search(name(case))]
    runner = unittest.TextTestRunner(sys.stderr, verbosity=2, resultclass=Result)
    result = runner.run(unittest.TestSuite(chosen))
    failed = [case for case, _ in result.failures + result.errors] + result.unexpectedSuccesses
    print("\\nreport", json.dumps({
        "run": names(chosen),
        "failed": names(failed),
        "skipped": names(case for case, _ in result.skipped),
    }))
    """


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the tests are found: nothing more, or a package `test` that has those of 3.11, too."""
    if sys.version_info >= (3, 13):
        if importlib.util.find_spec("test.test_concurrent_futures") is None:
            unavailable("this Python comes without its tests")
        return str(DROP_IN)
    if (spec := importlib.util.find_spec("test.support")) is None or spec.origin is None:
        unavailable("this Python comes without test.support")
    tests = cpython_311_tests()
    folder = tmp_path_factory.mktemp("tests")
    (folder / "test").mkdir()
    for each in Path(spec.origin).parents[1].iterdir():
        (folder / "test" / each.name).symlink_to(each)
    source = tests / "test_concurrent_futures.py"
    (folder / "test" / source.name).symlink_to(source)
    return f"{DROP_IN}:{folder}"


@pytest.mark.timeout(240)
def test_what_cpython_tests_of_executors(path: str) -> None:
    env = SCRIPT_ENVIRONMENT | {"PYTHONPATH": path}
    done = run_script(DRIVER, *LEFT_OUT, timeout=200, env=env, traceback=True)
    [line] = [line for line in done.stdout.splitlines() if line.startswith("report ")]
    report = json.loads(line.removeprefix("report "))
    assert report["failed"] == sorted(FAILS.keys() & report["run"]), done.stderr
    assert report["skipped"] == sorted(SKIPS.keys() & report["run"]), done.stderr
    assert len(report["run"]) > (100 if sys.version_info >= (3, 14) else 70)
