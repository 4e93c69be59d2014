# SPDX-License-Identifier: MIT
"""isolation='auto': the kind that can import what the caller has imported."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from support import run_script

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="before 3.12 there are only private interpreters"
)

MODULE = """
#include <Python.h>
#if KIND == 0
static PyModuleDef def = {PyModuleDef_HEAD_INIT, "ext", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_ext(void) { return PyModule_Create(&def); }
#else
static PyModuleDef_Slot slots[] = {
#if KIND == 2
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_SUPPORTED},
#elif KIND == 3
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL}};
static PyModuleDef def = {PyModuleDef_HEAD_INIT, .m_name = "ext", .m_slots = slots};
PyMODINIT_FUNC PyInit_ext(void) { return PyModuleDef_Init(&def); }
#endif
"""

KINDS = ["single-phase", "no slot", "shared GIL", "own GIL"]


def build(folder: Path, kind: int) -> None:
    """Compile the extension module `ext`."""
    source = folder / "ext.c"
    source.write_text(MODULE)
    target = folder / f"ext{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = f"-I{sysconfig.get_path('include')}"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", f"-DKIND={kind}", include, source, "-o", target], check=True
    )


@pytest.mark.parametrize("kind", range(4), ids=KINDS)
def test_what_modules_declare(tmp_path: Path, kind: int) -> None:
    """Those that do not support an own GIL lead to 'private'."""
    script = """
        import sys
        sys.path.insert(0, sys.argv[1])
        import subinterpreters as si

        def kind():
            with si.create(isolation="auto") as interp:
                return interp.isolation

        assert kind() == "own"
        import ext
        assert kind() == sys.argv[2]
    """
    build(tmp_path, kind)
    run_script(script, str(tmp_path), "own" if KINDS[kind] == "own GIL" else "private")


@pytest.mark.parametrize("kind", range(4), ids=KINDS)
def test_a_refusal_is_remembered(tmp_path: Path, kind: int) -> None:
    """Also if the code goes on without the module; but not by who gets the interpreter next."""
    script = """
        import sys
        sys.path.insert(0, sys.argv[1])
        import subinterpreters as si

        recv, send = si.create_channel()
        code = (
            "from subinterpreters._subinterpreters import _import_was_refused as refused\\n"
            "before = refused()\\n"
            "try: import ext\\n"
            "except ImportError: pass\\n"
            "send.send_nowait((before, refused()))\\n"
        )
        if sys.version_info < (3, 13) and sys.argv[3] == "single-phase":
            import ext  # 3.12 refuses too late, if it has not been imported before
        for _ in range(2):
            with si.create(isolation="own") as interp:
                interp.prepare_main(send=send)
                interp.exec(code)
                assert recv.recv_nowait() == (False, sys.argv[2] == "True")
    """
    build(tmp_path, kind)
    run_script(script, str(tmp_path), str(KINDS[kind] != "own GIL"), KINDS[kind])


def test_without_a_libpython_it_is_own(tmp_path: Path) -> None:
    script = """
        import sys
        sys.path.insert(0, sys.argv[1])
        import ext
        import subinterpreters as si
        from subinterpreters import _libpython

        def find():
            raise FileNotFoundError("none")

        _libpython.find = find
        with si.create(isolation="auto") as interp:
            assert interp.isolation == "own"
    """
    build(tmp_path, 0)
    run_script(script, str(tmp_path))


# ---- pools ------------------------------------------------------------------------------------

POOL = """
    import sys
    sys.path[:0] = sys.argv[1:2] + [sys.argv[1] + "/tasks"]
    import subinterpreters as si
    from tasks_of_test import *
"""

TASKS = """
import subinterpreters as si

def kind(*ignored):
    return si.get_current().isolation

def kind_with(*ignored):
    import ext
    return si.get_current().isolation

def number_with(n):
    if n % 5 == 3:
        import ext
    return n

def kind_without(*ignored):
    try:
        import ext
    except ImportError:
        pass
    return si.get_current().isolation

def fail_without():
    kind_without()
    raise KeyError("as told")

def go_on_without(send):
    kind_without()
    send.send(kind())
    while True:
        pass

def initialize():
    import ext
"""


@pytest.fixture
def pool_tasks(tmp_path: Path) -> Path:
    build(tmp_path, 1)  # refuses on 3.12, too, before it does anything
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "tasks_of_test.py").write_text(TASKS)
    return tmp_path


def test_a_pool_that_chooses(pool_tasks: Path) -> None:
    """A call that needs another kind of worker is done by one; from then on all are."""
    script = (
        POOL
        + """
    with si.InterpreterPoolExecutor(2, isolation="auto") as pool:
        assert pool.submit(kind).result() == "own"
        assert pool.submit(kind_without).result() == "own"
    with si.InterpreterPoolExecutor(2, isolation="auto") as pool:
        assert pool.submit(kind_without).result() == "own"  # it has gone on without
        assert pool.submit(kind_with).result() == "private"
        assert {pool.submit(kind_with).result() for _ in range(20)} == {"private"}
        assert pool.stats()["failed"] == 0
    with si.InterpreterPoolExecutor(1, isolation="own") as pool:
        error = pool.submit(kind_with).exception()
        assert isinstance(error, ImportError) and "isolation='private'" in str(error)
    """
    )
    run_script(script, str(pool_tasks))


@pytest.mark.parametrize("chunksize", [None, 1, 7])
def test_a_map_that_chooses(pool_tasks: Path, chunksize: int | None) -> None:
    """No item is lost or done twice, as far as its result goes."""
    script = (
        POOL
        + """
    for workers in 1, 3:
        with si.InterpreterPoolExecutor(workers, isolation="auto") as pool:
            assert pool.submit(kind).result() == "own"
            chunksize = eval(sys.argv[2])
            assert list(pool.map(number_with, range(200), chunksize=chunksize)) == list(range(200))
            assert pool.stats()["failed"] == 0 and pool.stats()["performed"] == 201
            assert pool.submit(kind_with).result() == "private"
    with si.InterpreterPoolExecutor(2, isolation="auto") as pool:
        results = pool.map(number_with, range(50), buffersize=3, chunksize=chunksize)
        assert list(results) == list(range(50))
    """
    )
    run_script(script, str(pool_tasks), repr(chunksize))


def test_a_pool_that_chooses_with_futures(pool_tasks: Path) -> None:
    """Time-outs, cancelling and shutting down hold for calls that are done once more."""
    script = (
        POOL
        + """
    from concurrent.futures import wait
    with si.InterpreterPoolExecutor(2, isolation="auto", cancel_running=True) as pool:
        futures = [pool.submit(kind_with, n, timeout=30) for n in range(40)]
        told = []
        for future in futures: future.add_done_callback(lambda f: told.append(f.result()))
        assert not wait(futures, timeout=60).not_done
    assert told == ["private"] * 40
    pool = si.InterpreterPoolExecutor(1, isolation="auto")
    future = pool.submit(kind_with)
    pool.shutdown(wait=False)
    assert future.result(30) == "private"
    pool = si.InterpreterPoolExecutor(1, isolation="auto", initializer=initialize)
    assert pool.submit(kind).result() == "private"
    assert list(pool.map(kind_with, range(3), task_timeout=30)) == ["private"] * 3
    pool = si.InterpreterPoolExecutor(2, isolation="auto", max_tasks_per_child=2)
    assert list(pool.map(kind_with, range(9))) == ["private"] * 9
    pool.submit(kind_with)
    """
    )
    run_script(script, str(pool_tasks))


def test_an_interrupted_call_is_not_done_once_more(pool_tasks: Path) -> None:
    """Though an import was refused, which the call had gone on without."""
    script = (
        POOL
        + """
    recv, send = si.create_channel()
    with si.InterpreterPoolExecutor(1, isolation="auto", cancel_running=True) as pool:
        future = pool.submit(go_on_without, send, timeout=0.3)
        assert isinstance(future.exception(), TimeoutError)
        assert recv.recv(10) == "own"
        future = pool.submit(go_on_without, send)
        assert recv.recv(10) == "own"
        assert future.cancel()
        assert pool.submit(kind).result() == "own"
    try:
        recv.recv_nowait()
    except si.ChannelEmptyError:
        pass
    else:
        raise AssertionError
    """
    )
    run_script(script, str(pool_tasks))


def test_a_pool_that_cannot_choose(pool_tasks: Path) -> None:
    """Without a libpython the call fails as in any other pool."""
    script = (
        POOL
        + """
    from subinterpreters import _libpython

    def find():
        raise FileNotFoundError("none")

    _libpython.find = find
    with si.InterpreterPoolExecutor(2, isolation="auto") as pool:
        for _ in range(3):
            error = pool.submit(kind_with).exception()
            assert isinstance(error, ImportError) and "isolation='private'" in str(error)
        for number, result in enumerate(pool.map(kind, range(5))):
            assert result == "own"
        try:
            list(pool.map(number_with, range(5)))
        except ImportError:
            pass
        else:
            raise AssertionError
        assert pool.submit(kind).result() == "own"
    """
    )
    run_script(script, str(pool_tasks))
