# SPDX-License-Identifier: MIT
"""Many threads on the same interpreters: runs race with closes, and exactly one side wins."""

import os
from textwrap import dedent

import pytest
from support import KINDS as ALL_KINDS
from support import run_script

# SUBI_LONG=1 repeats each storm, for a hunt of rare crashes.
ROUNDS = 20 if os.environ.get("SUBI_LONG") == "1" else 1
# "own" once with the closed ones used again, and once without
KINDS = [*ALL_KINDS, *(["own, ended"] if "own" in ALL_KINDS else [])]
# _xxsubinterpreters makes those of the default kind, or shared ones
LEGACY_KINDS = [kind for kind in KINDS if kind == ALL_KINDS[0] or kind != "private"]


def storm(code, kind, *args):
    kind, ended, _ = kind.partition(", ended")
    if ended:
        code = "import subinterpreters; subinterpreters.set_reserve_limit(0)\n" + dedent(code)
    for _ in range(ROUNDS):
        run_script(code, kind, *args, timeout=60)


RUN_CLOSE_LIST = """
    import random, sys, threading
    import subinterpreters as si

    kind, threads = sys.argv[1], int(sys.argv[2])
    interps = [si.create(isolation=kind) for _ in range(60)]
    unexpected = []

    def work(seed):
        rng = random.Random(seed)
        interp = rng.choice(interps)
        try:
            match rng.randrange(10):
                case 0:
                    interp.close()
                case 1 | 2:
                    assert si.get_main() in si.list_all()
                case 3:
                    interp.is_running()
                case _:
                    interp.exec("x = sum(range(100))")
        except si.InterpreterClosedError as e:
            assert str(e) == f"interpreter {interp.id} is closed", e
        except si.InterpreterError as e:
            if str(e) != f"interpreter {interp.id} is already running":
                unexpected.append(e)
        except BaseException as e:
            unexpected.append(e)

    todo = [threading.Thread(target=work, args=[seed]) for seed in range(threads)]
    for t in todo:
        t.start()
    for t in todo:
        t.join()
    assert not unexpected, unexpected
    for interp in interps:
        interp.close()
    assert si.list_all() == [si.get_main()]
"""


@pytest.mark.parametrize("kind", KINDS)
def test_run_close_and_list_from_many_threads(kind):
    storm(RUN_CLOSE_LIST, kind, "1000")


LEGACY_RUN_DESTROY_LIST = """
    import random, sys, threading
    import subinterpreters
    subinterpreters._install_xxsubinterpreters()
    import _xxsubinterpreters as xx

    isolated, threads = sys.argv[1] != "shared", int(sys.argv[2])
    ids = [xx.create(isolated=isolated) for _ in range(60)]
    unexpected = []

    def work(seed):
        rng = random.Random(seed)
        id = rng.choice(ids)
        try:
            match rng.randrange(10):
                case 0:
                    xx.destroy(id)
                case 1 | 2:
                    assert xx.get_main() in xx.list_all()
                case 3:
                    xx.is_running(id)
                case _:
                    xx.run_string(id, "x = sum(range(100))")
        except RuntimeError as e:
            wanted = ("interpreter already running", f"unrecognized interpreter ID {int(id)}")
            if type(e) is not RuntimeError or str(e) not in wanted:
                unexpected.append(e)
        except BaseException as e:
            unexpected.append(e)

    todo = [threading.Thread(target=work, args=[seed]) for seed in range(threads)]
    for t in todo:
        t.start()
    for t in todo:
        t.join()
    assert not unexpected, unexpected
    for id in ids:
        try:
            xx.destroy(id)
        except RuntimeError as e:
            assert "unrecognized" in str(e), e
    assert xx.list_all() == [xx.get_main()]
"""


@pytest.mark.parametrize("kind", LEGACY_KINDS)
def test_legacy_run_destroy_and_list_from_many_threads(kind):
    storm(LEGACY_RUN_DESTROY_LIST, kind, "1000")


ONE_INTERPRETER = """
    import sys, threading
    import subinterpreters as si

    kind = sys.argv[1]
    for _ in range(10):
        interp = si.create(isolation=kind)
        outcomes = []

        def work(number):
            try:
                if number % 10 == 5:
                    interp.close(timeout=None)
                    outcomes.append("closed")
                else:
                    interp.exec("x = 1")
                    outcomes.append("ran")
            except si.InterpreterClosedError:
                outcomes.append("too late")
            except si.InterpreterError as e:
                assert "already running" in str(e), e
                outcomes.append("busy")

        todo = [threading.Thread(target=work, args=[k]) for k in range(100)]
        for t in todo:
            t.start()
        for t in todo:
            t.join()
        assert len(outcomes) == 100, outcomes
        assert outcomes.count("closed") == 10, outcomes
"""


@pytest.mark.parametrize("kind", KINDS)
def test_run_and_close_one_interpreter_from_many_threads(kind):
    storm(ONE_INTERPRETER, kind)


CLOSE_AFTER_HANDING_OVER = """
    import sys, threading
    import subinterpreters as si

    kind, repeats = sys.argv[1], int(sys.argv[2])
    results = {"ran": 0, "closed": 0}

    def run(interp, recv_started, outcome):
        try:
            interp.exec("done.send_nowait(1)")
            outcome.append("ran")
        except si.InterpreterClosedError:
            outcome.append("closed")

    for _ in range(repeats):
        interp = si.create(isolation=kind)
        recv, send = si.create_channel()
        interp.prepare_main(done=send)
        outcome = []
        t = threading.Thread(target=run, args=[interp, recv, outcome])
        t.start()
        interp.close(timeout=None)
        t.join()
        assert len(outcome) == 1, outcome
        assert len(recv) == (outcome[0] == "ran"), (outcome, len(recv))
        results[outcome[0]] += 1
    assert sum(results.values()) == repeats
    assert threading.active_count() == 1
"""


@pytest.mark.parametrize("kind", KINDS)
def test_close_right_after_handing_a_run_to_a_thread(kind):
    storm(CLOSE_AFTER_HANDING_OVER, kind, "300")


CREATE = """
    import sys, threading
    import subinterpreters as si

    kind, threads = sys.argv[1], int(sys.argv[2])
    barrier = threading.Barrier(threads)
    ids, errors = [], []

    def work():
        barrier.wait()
        try:
            with si.create(isolation=kind) as interp:
                interp.exec("import sys; assert sys.path; x = [0] * 100")
                ids.append(interp.id)
        except BaseException as e:
            errors.append(e)

    todo = [threading.Thread(target=work) for _ in range(threads)]
    for t in todo:
        t.start()
    for t in todo:
        t.join()
    assert not errors, errors
    assert len(set(ids)) == threads, ids
    assert si.list_all() == [si.get_main()]
"""


@pytest.mark.parametrize("threads", [8, 50])
@pytest.mark.parametrize("kind", KINDS)
def test_create_from_many_threads_at_once(kind, threads):
    storm(CREATE, kind, str(threads))


IMPORTS = """
    import importlib, sys, threading
    import subinterpreters as si

    modules = ("_datetime sqlite3 asyncio decimal ssl json zoneinfo struct ctypes array "
               "cmath hashlib xml.etree.ElementTree lzma socket select csv").split()
    code = '''if True:
        import importlib
        for name in order:
            try:
                importlib.import_module(name)
            except ImportError as e:  # 3.12 has modules that only a shared GIL lets in
                assert "does not support loading in subinterpreters" in str(e), e
        from datetime import datetime, timedelta
        from decimal import Decimal
        assert datetime(2000, 1, 1) + timedelta(1) == datetime(2000, 1, 2)
        assert Decimal("0.1") * 3 == Decimal("0.3")
    '''
    if sys.version_info < (3, 13):
        modules.remove("zoneinfo")  # wants a _datetime that is not let in
    interps = [si.create(isolation=sys.argv[1]) for _ in range(4)]
    barrier = threading.Barrier(len(interps))
    errors = []

    def work(interp, order):
        try:
            interp.prepare_main(order=tuple(order))
            barrier.wait()
            interp.exec(code)
        except BaseException as e:
            errors.append(e)

    todo = [threading.Thread(target=work, args=[interp, modules[k:] + modules[:k]])
            for k, interp in enumerate(interps)]
    for t in todo:
        t.start()
    for t in todo:
        t.join()
    assert not errors, errors
    for interp in interps:
        interp.close()
"""


@pytest.mark.parametrize("kind", KINDS)
def test_import_the_same_modules_in_several_interpreters_at_once(kind):
    storm(IMPORTS, kind)


IN_TURN = """
    import sys, threading
    import subinterpreters as si

    interp = si.create(isolation=sys.argv[1])
    interp.exec("import threading; log = []; local = threading.local()")
    turn = threading.Lock()
    errors = []

    def work(number):
        try:
            for k in range(50):
                with turn:
                    interp.exec(f"local.x = log.append(({number}, {k}))")
        except BaseException as e:
            errors.append(e)

    todo = [threading.Thread(target=work, args=[k]) for k in range(8)]
    for t in todo:
        t.start()
    for t in todo:
        t.join()
    assert not errors, errors
    interp.exec("assert len(log) == 400 and len(set(log)) == 400, log")
    interp.close()
"""


@pytest.mark.parametrize("kind", KINDS)
def test_run_in_one_interpreter_from_several_threads_in_turn(kind):
    storm(IN_TURN, kind)


EACH_OTHER = """
    import sys, threading
    import subinterpreters as si

    a, b = (si.create(isolation=sys.argv[1]) for _ in range(2))
    code = '''if True:
        import subinterpreters as si
        peer = next(i for i in si.list_all() if i.id == %d)
        ran = 0
        for _ in range(200):
            try:
                peer.exec("x = 1")
                ran += 1
            except si.InterpreterError as e:
                assert str(e) == f"interpreter {peer.id} is already running", e
    '''
    errors = []

    def work(interp, peer):
        try:
            interp.exec(code % peer.id)
        except si.InterpreterError as e:
            if "already running" not in str(e):
                errors.append(e)

    for _ in range(5):
        todo = [threading.Thread(target=work, args=pair) for pair in ((a, b), (b, a))]
        for t in todo:
            t.start()
        for t in todo:
            t.join()
    assert not errors, errors
    a.exec("assert type(peer) is si.Interpreter; del peer")
    b.exec("x = 1")
    a.close()
    b.close()
"""


@pytest.mark.parametrize("kind", KINDS)
def test_two_interpreters_run_each_other(kind):
    storm(EACH_OTHER, kind)


NESTED = """
    import sys
    import subinterpreters as si

    kind, depth = sys.argv[1], int(sys.argv[2])
    recv, send = si.create_channel()
    code = '''if True:
        import subinterpreters as si
        if depth > 0:
            with si.create(isolation=kind) as inner:
                inner.prepare_main(depth=depth - 1, kind=kind, code=code, send=send)
                inner.exec(code)
                inner.exec("x = 1")
        send.send_nowait(depth)
    '''
    with si.create(isolation=kind) as outer:
        outer.prepare_main(depth=depth - 1, kind=kind, code=code, send=send)
        outer.exec(code)
    assert [recv.recv(timeout=1) for _ in range(depth)] == list(range(depth))
    assert si.list_all() == [si.get_main()]
"""


@pytest.mark.parametrize("kind", KINDS)
def test_nest_twelve_deep(kind):
    storm(NESTED, kind, "12")
