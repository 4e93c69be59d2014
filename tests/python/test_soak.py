# SPDX-License-Identifier: MIT
"""Random operations on interpreters, channels and pools, for a while: nothing is left, and nothing grows.

    python test_soak.py [--seed N] [--seconds S]

runs it by itself; the seed is printed, and the same seed has the same operations.
"""

import argparse
import collections
import gc
import os
import random
import sys
import threading
import time
import warnings
from concurrent.futures import CancelledError, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # also when it is run with -P

import pool_tasks as tasks

import subinterpreters as si

MODULES = ["json", "decimal", "random", "struct", "string", "textwrap"]
WAIT = 60


class Soak:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.interpreters: list[si.Interpreter] = []
        self.queues = [si.create_queue() for _ in range(3)]
        self.put: list[collections.deque[int]] = [collections.deque() for _ in self.queues]
        self.pools: list[si.InterpreterPoolExecutor] = []
        self.futures: list[tuple[Any, Any]] = []  # with what they must give
        self.done: collections.Counter[str] = collections.Counter()
        self.steps = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("do_")]

    def step(self) -> None:
        what = self.random.choice(self.steps)
        self.done[what.__name__] += 1
        what()

    def interpreter(self) -> si.Interpreter:
        if not self.interpreters:
            self.do_create()
        return self.random.choice(self.interpreters)

    def pool(self) -> si.InterpreterPoolExecutor:
        if not self.pools:
            self.do_create_pool()
        return self.random.choice(self.pools)

    def do_create(self) -> None:
        self.interpreters.append(si.create())
        if len(self.interpreters) > 4:
            self.do_close()

    def do_close(self) -> None:
        if self.interpreters:
            self.interpreters.pop(self.random.randrange(len(self.interpreters))).close()

    def do_call(self) -> None:
        n = self.random.randrange(1000)
        assert self.interpreter().call(tasks.square, n) == n * n

    def do_fail(self) -> None:
        try:
            self.interpreter().call(tasks.fail, KeyError, 3)
        except KeyError as error:
            assert error.args == (3,)
        else:
            raise AssertionError("it did not fail")

    def do_import(self) -> None:
        self.interpreter().exec(f"import {self.random.choice(MODULES)}")

    def do_put(self) -> None:
        k, n = self.random.randrange(len(self.queues)), self.random.randrange(1000)
        self.queues[k].put(n)
        self.put[k].append(n)

    def do_get(self) -> None:
        k = self.random.randrange(len(self.queues))
        if self.put[k]:
            assert self.queues[k].get(timeout=WAIT) == self.put[k].popleft()
        else:
            assert self.queues[k].empty()

    def do_interrupt(self) -> None:
        interp = self.interpreter()
        future = interp.submit(tasks.spin)
        while not future.done():
            interp.interrupt()
            wait([future], timeout=0.01)
        assert isinstance(future.exception(), KeyboardInterrupt), repr(future.exception())

    def do_fork(self) -> None:
        if threading.active_count() > 1 or sys.version_info < (3, 13):
            return  # in the child of a process with threads nothing is sure
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # threads of the core's are fit for it
            child = os.fork()
        if child == 0:
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7

    def do_create_pool(self) -> None:
        workers = self.random.randint(1, 3)
        most = self.random.choice([None, None, 5])
        self.pools.append(si.InterpreterPoolExecutor(workers, max_tasks_per_child=most))
        if len(self.pools) > 2:
            self.do_shutdown()

    def do_submit(self) -> None:
        pool = self.pool()
        for _ in range(self.random.randrange(20)):
            n = self.random.randrange(1000)
            self.futures.append((pool.submit(tasks.square, n), n * n))

    def do_submit_what_fails(self) -> None:
        self.futures.append((self.pool().submit(tasks.raise_error), LookupError))

    def do_map(self) -> None:
        count, size = self.random.randrange(300), self.random.choice([None, 1, 10])
        results = self.pool().map(tasks.square, range(count), chunksize=size)
        if self.random.random() < 0.2:
            results.close()  # type: ignore[attr-defined]
        else:
            assert list(results) == [n * n for n in range(count)]

    def do_cancel(self) -> None:
        if self.futures:
            self.random.choice(self.futures)[0].cancel()

    def do_results(self) -> None:
        for future, expected in self.futures:
            try:
                assert future.result(WAIT) == expected
            except LookupError:
                assert expected is LookupError
            except CancelledError:
                assert future.cancelled()
        self.futures.clear()

    def do_shutdown(self) -> None:
        if not self.pools:
            return
        pool = self.pools.pop(self.random.randrange(len(self.pools)))
        how = self.random.randrange(4)
        if how < 3:  # or it is forgotten
            pool.shutdown(wait=how != 1, cancel_futures=how == 2)

    def end(self) -> None:
        """Close everything; then only what the process has anyhow is there."""
        self.do_results()
        for pool in self.pools:
            pool.shutdown()
        for interp in self.interpreters:
            interp.close()
        self.pools.clear()
        self.interpreters.clear()
        self.futures.clear()
        for queue, put in zip(self.queues, self.put, strict=True):
            assert [queue.get(timeout=WAIT) for _ in put] == list(put)
            put.clear()
        deadline = time.monotonic() + WAIT
        while len(si.list_all()) > 1 or threading.active_count() > 1:
            assert time.monotonic() < deadline, (si.list_all(), threading.enumerate())
            gc.collect()
            time.sleep(0.01)


def figures() -> tuple[int, int, int]:
    """Return descriptors, threads of the system, and resident bytes."""
    import ctypes  # which cannot be imported in all kinds of interpreters on 3.12

    gc.collect()
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return (
        len(os.listdir("/proc/self/fd")),
        len(os.listdir("/proc/self/task")),
        resident * os.sysconf("SC_PAGESIZE"),
    )


def run(seed: int, seconds: float, most: int) -> None:
    """Raise if something is wrong, or has grown by more than `most` bytes."""
    soak = Soak(seed)
    begin = time.monotonic()
    before = None
    while (now := time.monotonic() - begin) < seconds or before is None:
        for _ in range(50):
            soak.step()
        soak.end()
        if before is None and now > seconds / 4:
            before = figures()
    after = figures()
    print(f"{soak.done.total()} operations: {before} -> {after}")
    assert after[0] <= before[0], "descriptors"
    assert after[1] <= before[1] + 2, "threads"  # of the core's, which may end later
    assert after[2] - before[2] < most, "memory"


def test_soak() -> None:
    from support import LONG, run_program

    if sys.version_info < (3, 14):
        most = 2000 << 20  # CPython loses 1.7 MB with each interpreter
    else:
        most = 20 << 20
    seconds = 600 if LONG else 8
    seed = random.randrange(1 << 32)
    command = [sys.executable, "-P", "-X", "faulthandler", __file__]
    arguments = ["--seed", str(seed), "--seconds", str(seconds), "--most", str(most)]
    done = run_program(command + arguments, timeout=seconds + 60)
    assert done.returncode == 0, f"--seed {seed}:\n{done.stdout}{done.stderr}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--most", type=int, default=20 << 20)
    options = parser.parse_args()
    print("seed", options.seed, flush=True)
    run(options.seed, options.seconds, options.most)
