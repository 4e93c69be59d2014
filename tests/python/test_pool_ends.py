# SPDX-License-Identifier: MIT
"""Pools and the process: Ctrl-C, forks, the end."""

import sys
import time

import pytest
from support import DEFAULT, KINDS, not_under_asan, run_script

BEGIN = """
    import os, signal, sys, threading, time
    from concurrent.futures import as_completed, wait
    import subinterpreters as si

    def wait_at(started, go):
        started.send(None)
        return go.recv()

    def spin(started):
        started.send(None)
        while True:
            pass

    def sleep(seconds):
        import time
        time.sleep(seconds)
        return seconds

    pool = si.InterpreterPoolExecutor(1, **eval(sys.argv[1]))
    started, _started = si.create_channel()
    _go, go = si.create_channel()
    held = pool.submit(wait_at, _started, _go)
    started.recv()
"""

WAITS = {
    "result": "held.result()",
    "result in time": "held.result(20)",
    "exception": "held.exception()",
    "wait": "wait([held])",
    "as_completed": "next(as_completed([held]))",
    "map": "next(pool.map(int, [1, 2]))",
    "map in time": "next(pool.map(int, [1, 2], timeout=20))",
    "shutdown": "pool.shutdown()",
    "with": "pool.__exit__(None, None, None)",
}

INTERRUPTED = """
    sent = []

    def interrupt():
        time.sleep(0.2)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    try:
        {}
    except KeyboardInterrupt:
        print(time.monotonic() - sent[0])
    go.send(7)
    assert held.result(10) == 7
    pool.shutdown()
"""


@pytest.mark.parametrize("what", WAITS)
def test_ctrl_c(what: str) -> None:
    took = []
    for _ in range(3):  # one of them not delayed by others on this machine
        done = run_script(BEGIN + INTERRUPTED.format(WAITS[what]), "{}")
        took.append(float(done.stdout))
        if took[-1] < 0.1:
            return
    raise AssertionError(took)


FORKED = """
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    later = pool.submit(int)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        for future in (held, later):
            try:
                future.result(5)
            except Exception as error:
                print(type(error).__name__)
        try:
            pool.submit(int)
        except RuntimeError as error:
            print("forked" in str(error))
        pool.shutdown(wait=False)
        with si.InterpreterPoolExecutor(1) as other:
            print(other.submit(pow, 2, 5).result(10))
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    go.send(7)
    assert held.result(10) == 7 and later.result(10) == 0
    pool.shutdown()
"""


@pytest.mark.skipif(
    sys.version_info[:2] == (3, 12), reason="a child may hang in Python's own locks"
)
def test_in_the_child_of_a_fork() -> None:
    """What was submitted before is not done there, nothing more can be, and a new pool works."""
    lines = run_script(BEGIN + FORKED, "{}").stdout.split()
    assert len(lines) == 4 and lines[2:] == ["True", "32"], lines
    assert all("Error" in line and line != "TimeoutError" for line in lines[:2]), lines


@not_under_asan("its allocator does not survive a fork beside other threads")
@pytest.mark.skipif(
    sys.version_info[:2] == (3, 12), reason="a child may hang in Python's own locks"
)
def test_a_fork_before_the_worker_has_begun() -> None:
    run_script("""
        import os, signal, sys, threading, time, warnings
        import subinterpreters as si
        warnings.simplefilter("ignore", DeprecationWarning)
        sys.setswitchinterval(10)  # who does not wait keeps the GIL
        pool = si.InterpreterPoolExecutor(1)
        future = pool.submit(abs, -1)
        [thread] = pool._threads
        assert thread.ident is None and thread.is_alive()

        def fork():
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                thread.join()
                pool.shutdown()
                os._exit(3 if thread.is_alive() else 0)
            assert os.waitpid(child, 0)[1] == 0

        fork()
        assert future.result(10) == 1
        begun, bootstrap = threading.Event(), threading.Thread._bootstrap

        def begin_later(self):
            begun.wait()
            bootstrap(self)

        threading.Thread._bootstrap = begin_later  # now the worker starts the one for results
        end = time.monotonic() + 10
        while pool._workers._completer is None and time.monotonic() < end:
            time.sleep(0.001)
        fork()
        begun.set()
        pool.shutdown()
    """)


ENDS = {
    "idle": ("go.send(1); held.result()", ""),
    "shut down": ("go.send(1); pool.shutdown()", ""),
    "shut down without waiting": ("go.send(1); pool.shutdown(wait=False)", ""),
    "not waited for": ("go.send(1); held.add_done_callback(lambda f: print(f.result()))", "1"),
    "task sleeps": (
        "go.send(1); f = pool.submit(sleep, 0.5); f.add_done_callback(lambda f: print(f.result()))",
        "0.5",
    ),
    "many wait": (
        (
            "go.send(1); fs = [pool.submit(sleep, 0.001) for _ in range(100)]\n"
            "    import atexit; atexit.register(lambda: print(sum(f.done() for f in fs)))"
        ),
        "100",
    ),
    "in a cycle": ("go.send(1); cycle = [pool]; cycle.append(cycle); del pool, cycle", ""),
    "map unread": ("go.send(1); m = pool.map(sleep, [0.001] * 50)", ""),
    "atexit": (
        (
            "go.send(1)\n"
            "    import atexit\n"
            "    def late():\n"
            "        try: pool.submit(int)\n"
            "        except RuntimeError as error: print('cannot schedule' in str(error))\n"
            "    atexit.register(late)"
        ),
        "True",
    ),
    "made in atexit": (
        (
            "go.send(1)\n"
            "    import atexit\n"
            "    def late():\n"
            "        try: si.InterpreterPoolExecutor(1).submit(int).result(5)\n"
            "        except RuntimeError as error: print('cannot schedule' in str(error))\n"
            "    atexit.register(late)"
        ),
        "True",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", ENDS)
def test_the_end_of_the_process(state: str, kind: str) -> None:
    if kind != DEFAULT and state not in ("idle", "task sleeps", "atexit"):
        pytest.skip("once is enough")
    code, printed = ENDS[state]
    began = time.monotonic()
    done = run_script(f"{BEGIN}\n    {code}\n", repr({"isolation": kind}))
    assert time.monotonic() - began < 10
    assert done.stdout.strip() == printed
    assert done.stderr == ""
