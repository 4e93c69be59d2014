# SPDX-License-Identifier: MIT
"""The backend of joblib, with the real joblib and scikit-learn."""

from textwrap import dedent

from support import run_script
from test_packages import need

BEGIN = """
import multiprocessing
import os
import time

import joblib
from joblib import Parallel, delayed
import subinterpreters as si
import subinterpreters.joblib

FACTOR = 3

def times(n):
    return n * FACTOR

def where():
    import subinterpreters
    return subinterpreters.get_current().id

joblib.parallel_config(backend="subinterpreters", n_jobs=2).__enter__()
"""


def run(code, *packages):
    for each in ("joblib", *packages):
        need(each)
    return run_script(BEGIN + dedent(code), timeout=60)


def test_what_parallel_can_do_in_workers_which_are_kept():
    run("""
        expected = [3 * n for n in range(5000)]
        assert Parallel()(delayed(times)(n) for n in range(5000)) == expected
        assert Parallel()(delayed(lambda n: n + 1)(n) for n in range(3)) == [1, 2, 3]
        first = {each.id for each in si.list_all()}
        assert len(first) == 3
        assert set(Parallel()(delayed(where)() for _ in range(50))) <= first - {0}
        assert Parallel(batch_size=7)(delayed(times)(n) for n in range(5000)) == expected
        assert {each.id for each in si.list_all()} == first
        assert joblib.effective_n_jobs(-1) == joblib.cpu_count()
        assert joblib.effective_n_jobs(3) == 3

        results = Parallel(return_as="generator")(delayed(times)(n) for n in range(100))
        assert list(results) == [3 * n for n in range(100)]
        results = Parallel(return_as="generator_unordered")(delayed(times)(n) for n in range(100))
        assert sorted(results) == [3 * n for n in range(100)]

        found = []
        Parallel(n_jobs=2, require="sharedmem")(delayed(found.append)(n) for n in range(5))
        assert sorted(found) == list(range(5))

        def outer(n):
            active = type(joblib.parallel.get_active_backend()[0]).__name__
            there = {where()}
            inner = [
                Parallel(n_jobs=2, backend=backend)(delayed(where)() for _ in range(n))
                for backend in (None, "subinterpreters")
            ]
            return active, {each for ids in inner for each in ids} == there

        assert Parallel()(delayed(outer)(n) for n in (3, 4)) == [("ThreadingBackend", True)] * 2

        Parallel(n_jobs=3)(delayed(where)() for _ in range(3))  # the others go
        subinterpreters.joblib.shutdown()
        assert where() == 0
        assert set(Parallel(n_jobs=1)(delayed(where)() for _ in range(3))) == {0}
    """)


def test_failures_timeouts_and_forks_leave_the_next_call_unharmed():
    run("""
        recv, send = si.create_channel()

        def fail(n):
            if n == 1:
                raise KeyError("as told")
            send.send(n)
            time.sleep(0.05)

        for _ in range(2):
            try:
                Parallel(batch_size=1, pre_dispatch="all")(delayed(fail)(n) for n in range(200))
            except KeyError as error:
                assert error.args == ("as told",)
                assert "KeyError: 'as told'" in str(error.__cause__)
            else:
                raise AssertionError
        assert len(recv) < 100
        with Parallel() as parallel:  # which has a pool of its own for more than one call
            try:
                parallel(delayed(fail)(n) for n in range(3))
            except KeyError:
                pass
            assert parallel(delayed(times)(n) for n in range(3)) == [0, 3, 6]

        def spin(n):
            end = time.monotonic() + n
            while time.monotonic() < end:
                pass

        # one that is interrupted while it imports joblib is replaced: both have to have done so
        barrier = si.Barrier(2)
        Parallel(batch_size=1)(delayed(barrier.wait)(20) for _ in range(2))
        workers = {each.id for each in si.list_all()}
        began = time.monotonic()
        try:
            Parallel(timeout=0.3)(delayed(spin)(n) for n in (0, 30, 30))
        except multiprocessing.TimeoutError:
            assert Parallel()(delayed(times)(n) for n in range(4)) == [0, 3, 6, 9]
        else:
            raise AssertionError
        assert time.monotonic() - began < 15
        assert {each.id for each in si.list_all()} == workers  # what ran was interrupted

        # what does not react holds nobody up
        began = time.monotonic()
        try:
            Parallel(timeout=0.3)(delayed(time.sleep)(n) for n in (0, 30, 30))
        except multiprocessing.TimeoutError:
            assert time.monotonic() - began < 15
        else:
            raise AssertionError
        assert Parallel()(delayed(times)(n) for n in range(4)) == [0, 3, 6, 9]
        assert time.monotonic() - began < 15

        assert Parallel()(delayed(times)(n) for n in range(3)) == [0, 3, 6]
        pid = os.fork()
        if pid == 0:
            ok = Parallel()(delayed(times)(n) for n in range(3)) == [0, 3, 6]
            os._exit(0 if ok else 1)
        assert os.waitpid(pid, 0)[1] == 0
    """)


def test_arrays_are_shared_from_max_nbytes_on():
    run(
        """
        import numpy

        def address(array):
            return array.ctypes.data

        def write(array):
            try:
                array[0] = 5
            except ValueError as error:
                return str(error)
            return "written"

        large, small = numpy.zeros(1_000_000), numpy.zeros(10)
        sent = [delayed(address)(each) for each in (large, small)]
        here = [each.ctypes.data for each in (large, small)]
        there = Parallel()(sent)
        assert there[0] == here[0] and there[1] != here[1]
        assert Parallel(max_nbytes=80)(sent) == here
        assert Parallel(max_nbytes=None)(sent)[0] != here[0]
        assert Parallel(mmap_mode="c")(sent)[0] != here[0]

        written = [delayed(write)(each) for each in (large, small)]
        assert Parallel()(written) == ["assignment destination is read-only", "written"]
        assert large[0] == small[0] == 0
        assert Parallel(mmap_mode="r+")(written) == ["written"] * 2
        assert (large[0], small[0]) == (5, 0)

        results = Parallel()(delayed(numpy.sort)(each) for each in (large, small))
        assert [type(each) for each in results] == [numpy.ndarray] * 2
        for each in results:
            each[0] = 1
        subinterpreters.joblib.shutdown()
        assert results[0][-1] == 5
        """,
        "numpy",
    )


def test_workers_of_kind_own_where_joblib_cannot_be_imported():
    run("""
        isolation = "own" if si.create().isolation == "own" else "private"
        with joblib.parallel_config(backend="subinterpreters", n_jobs=2, isolation=isolation):
            assert Parallel()(delayed(times)(n) for n in range(100)) == [3 * n for n in range(100)]
    """)


def test_scikit_learn():
    run(
        """
        from sklearn.datasets import load_iris
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.model_selection import cross_val_score

        data, kinds = load_iris(return_X_y=True)
        forest = RandomForestClassifier(5, random_state=0)
        there = cross_val_score(forest, data, kinds)
        proba = forest.fit(data, kinds).predict_proba(data)
        with joblib.parallel_config(backend="sequential"):
            assert (cross_val_score(forest, data, kinds) == there).all()
            assert (forest.fit(data, kinds).predict_proba(data) == proba).all()
        """,
        "sklearn",
    )
