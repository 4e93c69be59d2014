# SPDX-License-Identifier: MIT
"""Pools of interpreters in Dask: in its schedulers for one machine, and in the workers of its clusters."""

from textwrap import dedent

from support import run_script
from test_packages import need

BEGIN = """
import dask
import subinterpreters
from subinterpreters import InterpreterPoolExecutor

def where(*unused):
    import os, subinterpreters
    return os.getpid(), subinterpreters.get_current().id
"""


def run(code, *packages, **options):
    for each in ("dask", *packages):
        need(each)
    return run_script(BEGIN + dedent(code), timeout=60, **options)


def test_a_pool_is_a_scheduler():
    run("""
        import os
        import sys
        import dask.bag

        # on 3.12 ctypes, which Dask needs, cannot be imported in all kinds of interpreters
        for isolation in (None, "private")[sys.version_info[:2] == (3, 12):]:
            pool = InterpreterPoolExecutor(2, isolation=isolation)
            with pool, dask.config.set(scheduler=pool):
                numbers = dask.bag.from_sequence(range(10), npartitions=3)
                assert numbers.map(lambda n: n * n).sum().compute() == 285
                places = [dask.delayed(where)(n) for n in range(6)]
                for process, interpreter in dask.compute(*places):
                    assert process == os.getpid() and interpreter != 0
                assert dask.delayed(sum)([dask.delayed(len)("abc"), 4]).compute() == 7
                try:
                    dask.delayed(lambda: {}["x"])().compute()
                except KeyError as error:
                    assert error.args == ("x",)
                else:
                    raise AssertionError
    """)


def test_arrays_stay_arrays():
    run(
        """
        import dask.array
        import numpy

        pool = InterpreterPoolExecutor(2, isolation="private")
        with pool, dask.config.set(scheduler=pool):
            ones = dask.array.ones((400, 400), chunks=200)
            both = (ones + ones.T).compute()
            assert type(both) is numpy.ndarray and (both == 2).all()
            chunk = dask.delayed(numpy.arange)(5).compute()
            assert type(chunk) is numpy.ndarray
            assert (ones @ ones).sum().compute() == 400**3
        """,
        "numpy",
    )


def test_workers_of_a_cluster_have_pools():
    run(
        """
        import os
        from distributed import Client, LocalCluster
        from subinterpreters.dask import InterpreterPoolPlugin

        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
            Client(cluster) as client,
        ):
            everywhere = list(client.scheduler_info()["workers"])

            def look():
                asked = [client.submit(where, n, pure=False, workers=[address])
                         for address in everywhere for n in range(2)]
                found = client.gather(asked)
                assert len({process for process, _ in found} - {os.getpid()}) == 2
                return {interpreter for _, interpreter in found}

            assert look() == {0}
            client.register_plugin(InterpreterPoolPlugin())
            assert 0 not in look()
            done = client.submit(lambda n: n + 1, client.submit(len, "abc"))
            assert done.result() == 4
            failed = client.submit(lambda: 1 / 0)
            assert type(failed.exception()) is ZeroDivisionError
            client.unregister_worker_plugin("subinterpreters")
            assert look() == {0}

            client.register_plugin(InterpreterPoolPlugin(1, executor="interpreters"))
            assert look() == {0}
            with dask.annotate(executor="interpreters"):
                assert 0 not in look()
            client.unregister_worker_plugin("subinterpreters")
        """,
        "distributed",
        traceback=True,  # of what distributed logs
    )


def test_a_worker_takes_a_pool():
    run(
        """
        import asyncio
        from distributed import Client, Scheduler, Worker

        async def main():
            pool = InterpreterPoolExecutor(1, isolation="private")
            async with Scheduler(port=0, dashboard_address=":0") as scheduler:
                async with Worker(scheduler.address, nthreads=1, executor=pool):
                    async with Client(scheduler.address, asynchronous=True) as client:
                        found = await client.gather(client.map(where, range(6)))
                        assert 0 not in {interpreter for _, interpreter in found}
                        try:
                            await client.submit(lambda: __import__("distributed").get_client())
                        except Exception as error:
                            pass
                        else:
                            raise AssertionError
            try:
                pool.submit(where)
            except RuntimeError:
                return
            raise AssertionError("distributed has not shut it down")

        asyncio.run(main())
        """,
        "distributed",
        traceback=True,
    )
