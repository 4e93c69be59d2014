# SPDX-License-Identifier: MIT
"""Pools that are shut down at any moment, and very many tasks: nothing is lost, doubled or left."""

import pytest
from support import KINDS, LONG, not_under_asan, run_script
from test_leaks import MEASURE

SHUT_DOWN_RIGHT_AFTER = """
    import random, sys, threading
    from concurrent.futures import CancelledError
    import subinterpreters as si

    kind, seed = sys.argv[1], int(sys.argv[2])
    print("seed", seed)
    choose = random.Random(seed)
    pools = int(sys.argv[3])
    for k in range(pools):
        pool = si.InterpreterPoolExecutor(1, isolation=kind)
        wait, cancel = choose.random() < 0.5, choose.random() < 0.5
        futures, called = [], []
        for n in range(choose.choice([1, 1, 1, 5])):
            futures.append(pool.submit(abs, n))
            futures[-1].add_done_callback(called.append)
        pool.shutdown(wait=wait, cancel_futures=cancel)
        for n, future in enumerate(futures):
            try:
                assert future.result(30) == n
                assert not future.cancelled()
            except CancelledError:
                assert cancel and future.cancelled()
        pool.shutdown()
        assert called.sort(key=futures.index) is None and called == futures
        assert threading.active_count() == 1, threading.enumerate()
    assert si.list_all() == [si.get_main()]
"""


@pytest.mark.parametrize("kind", KINDS[:1])
def test_shut_down_right_after_submit(kind: str) -> None:
    pools = "1000" if LONG or kind != "private" else "200"  # these take five times as long to make
    run_script(SHUT_DOWN_RIGHT_AFTER, kind, seed(), pools, timeout=600 if LONG else 100)


def seed() -> str:
    import random

    return str(random.randrange(1 << 32))


AT_RANDOM = """
    import faulthandler, random, sys, threading, time
    from concurrent.futures import CancelledError
    import subinterpreters as si

    seed, pools = int(sys.argv[1]), int(sys.argv[2])
    print("seed", seed, flush=True)
    choose = random.Random(seed)

    def submit(pool, until, futures):
        n = 0
        try:
            while True:
                futures.append((n, pool.submit(abs, n)))
                n += 1
                if n % 100 == 0:
                    assert sum(pool.map(abs, range(50), chunksize=choose.choice([None, 7]))) == 1225
        except RuntimeError as error:
            assert "cannot schedule new futures" in str(error), error
        except CancelledError:
            pass

    faulthandler.dump_traceback_later(90, exit=True)
    tasks = 0
    for k in range(pools):
        pool = si.InterpreterPoolExecutor(choose.randint(1, 3))
        futures = [[] for _ in range(2)]
        threads = [threading.Thread(target=submit, args=[pool, None, each]) for each in futures]
        for thread in threads:
            thread.start()
        time.sleep(choose.random() * 0.02)
        pool.shutdown(wait=choose.random() < 0.7, cancel_futures=choose.random() < 0.7)
        for thread in threads:
            thread.join()
        for n, future in sum(futures, []):
            try:
                assert future.result(30) == n
            except CancelledError:
                pass
            tasks += 1
        pool.shutdown()
        assert threading.active_count() == 1, threading.enumerate()
    print(tasks, "tasks")
"""


def test_shut_down_at_random_moments() -> None:
    run_script(AT_RANDOM, seed(), "1000" if LONG else "100", timeout=600 if LONG else 100)


MANY = """
count = int(sys.argv[1])
pool = si.InterpreterPoolExecutor(2)

def submitted(first, many):
    total, futures = 0, []
    for n in range(first, first + many):
        futures.append(pool.submit(abs, n))
        if len(futures) == 1000:
            total += sum(future.result() for future in futures)
            futures.clear()
    return total + sum(future.result() for future in futures)

def work():
    part = count // 10
    assert submitted(0, part // 2) == sum(range(part // 2))
    assert sum(pool.map(abs, range(part // 4))) == sum(range(part // 4))
    assert sum(pool.map(abs, range(part // 4), chunksize=100, buffersize=1000)) == sum(range(part // 4))

work()
grows(work, 9, at_most=(count // 2) + (1 << 20), warm_up=2)
performed = pool.stats()["performed"]
pool.shutdown()
"""


@not_under_asan("keeps what was freed")
def test_very_many_tasks() -> None:
    run_script(MEASURE + MANY, "1000000" if LONG else "100000", timeout=300)
