# SPDX-License-Identifier: MIT
"""A closed interpreter is used again only when nothing of its life is left."""

import os
import sys
from textwrap import dedent

import pytest
from support import not_under_asan, run_script

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="before 3.13 closed interpreters are ended"
)

# life(code) runs code in an interpreter and closes it; is_reused_after(code) tells whether CPython's
# own number of the next one is the same.
LIVES = """
import sys
import subinterpreters as si

recv, send = si.create_channel()

def run(interp, code, **names):
    interp.prepare_main(send=send, **names)
    interp.exec(code)
    return recv.recv_nowait(None)

def identity(interp):
    return run(interp, "import _interpreters as i; send.send_nowait(i.get_current()[0])")

def life(code):
    with si.create() as interp:
        first = identity(interp)
        try:
            interp.exec(code)
        except si.ExecutionFailed:
            pass
    return first

def is_reused_after(code):
    first = life(code)
    with si.create() as interp:
        again = identity(interp)
    return first == again
"""

HARMLESS = {
    "nothing": "pass",
    "a global": "x = [1]",
    "an exception": "raise ValueError([1])",
    "a cycle": "x = []; x.append(x)",
    "imports": "import asyncio, collections, enum, json, logging, re, socket, typing, unittest",
    "more imports": "import ast, contextvars, dataclasses, decimal, inspect, ssl, subprocess",
    "a static type": "import datetime, sqlite3",
    "pools": "import concurrent.futures as f\nwith f.ThreadPoolExecutor(2) as e: e.submit(abs, 1)",
    "a thread": "import threading; t = threading.Thread(target=int); t.start(); t.join()",
    "an event loop": "import asyncio\nasync def f(): await asyncio.sleep(0)\nasyncio.run(f())",
    "codecs": "'x'.encode('idna'); b'x'.decode('latin-1'); 'x'.encode('utf-16')",
    "builtins": "import builtins; builtins.print = 1; builtins.new = [2]; del builtins.abs",
    "sys": "import sys; sys.path.append('x'); sys.argv = 3; sys.new = []; sys.modules['y'] = 5",
    "import hooks": "import sys; sys.meta_path.insert(0, object()); sys.path_hooks.clear()",
    "sys.modules": "import sys; sys.modules.clear(); sys.modules[1] = 2",
    "sys.modules replaced": "import sys; sys.modules = {}",
    "streams": "import io, sys; sys.stdout = io.StringIO(); print('lost'); sys.stderr = None",
    "settings": "import sys, gc; sys.setrecursionlimit(99); sys.setswitchinterval(1);"
    "sys.set_int_max_str_digits(0); gc.disable(); gc.set_threshold(1); gc.freeze()",
    "warnings": "import warnings; warnings.simplefilter('error'); warnings.warn",
    "an abstract class": "import collections.abc as c\nclass A: pass\nc.Sequence.register(A)\n"
    "assert issubclass(A, c.Sequence) and not isinstance(3, c.Mapping)",
    "a class of the library": "import os; os._Environ.new = [1]; os._Environ.copy = 5",
    "a context": "import decimal; decimal.getcontext().prec = 3; decimal.Decimal(1) / 3",
    "a trace function": "import sys; sys.settrace(lambda *a: None); sys.setprofile(lambda *a: None)",
    "atexit": "import atexit; atexit.register(print, end='')",
    "fork hooks": "import os; os.register_at_fork(before=lambda: None)",
    "unicode names": r"eval(r'\'\N{SNOWMAN}\'')",
    "overrides": "import _imp; _imp._override_multi_interp_extensions_check(-1)",
    "deep": "x = []\nfor i in range(100_000): x = [x]",
    "a finalizer": "import sys\nclass A:\n    def __del__(self): sys.ended = [len(A.__name__)]\na = A()",
}

if sys.version_info < (3, 14):
    del HARMLESS["a static type"]  # the type keeps what it got for the interpreter
if sys.version_info >= (3, 15):
    HARMLESS["lazy imports"] = "import sys; sys.set_lazy_imports('all'); import json, x; json.dumps"

# What cannot be taken back: such interpreters must be ended.
HARMFUL = {
    "a codec": "import codecs; codecs.register(lambda name: None)",
    "an error handler": "import codecs; codecs.register_error('x', lambda e: ('', e.end))",
    "an audit hook": "import sys; sys.addaudithook(lambda *a: None)",
    "a builtin audit hook": "import sys; sys.addaudithook(isinstance)",
    "a function": "import os; os.path.join.__defaults__ = (1,)",
    "a function's code": "import os; os.getcwdb = 1; os.walk.__code__ = (lambda: 1).__code__",
    "an attribute of a function": "import os; os.path.join.x = 5",
    "a tool": "import sys; sys.monitoring.use_tool_id(3, 'x')",
    "ctypes": "import ctypes",
    "an object deep inside": "import os; os.environ.encodekey.x = 1",
    "a deleted attribute": "import os; del os._Environ.copy",  # it would come back as the last one
    "the name of a class": "import os; os._Environ.__name__ = 'Other'",
    "a flag of a class": "import os, collections.abc as c; c.Sequence.register(type(os.__spec__))",
    "a slot of a class": "import _frozen_importlib as f\n"
    "f.ModuleSpec.__new__ = lambda cls, *a, **k: object.__new__(cls)",
    "defaults": "import os; os.fwalk.__kwdefaults__['dir_fd'] = 77",
    "an attribute of a stream": "import sys; sys.stdout.new = 1",
    "the state of a stream": "import sys; sys.stdout.reconfigure(line_buffering=True)",
    "a closed stream": "import sys; sys.stderr.close()",
    "input": "import sys; sys.stdin.read(1)",
    "the import lock": "import _imp; _imp.acquire_lock()",
    "queues": "import _interpqueues",
    "hidden ctypes": "import sys, _ctypes; del sys.modules['_ctypes']",
    "a callback of no tool": "import sys; m = sys.monitoring\n"
    "m.use_tool_id(3, 'x'); m.register_callback(3, m.events.PY_START, id); m.free_tool_id(3)",
    "local events of no tool": "import sys, os; m = sys.monitoring; m.use_tool_id(3, 'x')\n"
    "m.set_local_events(3, os.path.join.__code__, m.events.PY_START); m.free_tool_id(3)",
    "events of no tool": "import sys; m = sys.monitoring\n"
    "m.use_tool_id(3, 'x'); m.set_events(3, m.events.PY_START); m.free_tool_id(3)",
    "atexit in a finalizer": "import atexit\nclass A:\n"
    "    def __del__(self, r=atexit.register): r(print)\na = A(); a.a = a",
    "a number in an object": "import sys\nfor f in sys.path_importer_cache.values():\n"
    "    if f: f._path_mtime = -1.0",
    "a resurrected object": "import os\nclass A:\n"
    "    def __del__(self): os.walk.__dict__['kept'] = self\na = A()",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_used_again(name):
    run_script(LIVES + "assert is_reused_after(sys.argv[1])", HARMLESS[name])


@pytest.mark.parametrize("name", HARMFUL)
def test_not_used_again(name):
    run_script(LIVES + "assert not is_reused_after(sys.argv[1])", HARMFUL[name])


STATE = """
import gc, os, sys
def describe(value):
    if type(value) in (bool, int, float, str, bytes, type(None)):
        return repr(value)
    if type(value) in (dict, list, tuple, set, frozenset):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__
found = [f"{k}={describe(v)}" for k, v in sorted(vars(sys.modules["__main__"]).items())
         if k not in ("STATE", "send", "found")]
found += [f"{name}.{k}={describe(v)}" for name, module in sorted(sys.modules.items())
          for k, v in sorted(vars(module).items())
          if name not in ("__main__", "gc") and "subinterpreters" not in name
          and k != "path_importer_cache"]  # it may have folders that the life before has looked into
found += [*sorted(sys.modules), *sys.path, *sys.argv, *map(describe, sys.meta_path), *map(describe, sys.path_hooks)]
found += [sys.getrecursionlimit(), sys.getswitchinterval(), sys.get_int_max_str_digits()]
found += [*sys.flags, gc.isenabled(), *gc.get_threshold(), gc.get_debug(), gc.get_freeze_count()]
found += sorted(os.environ)
found += sorted(f"{c.__module__}.{c.__qualname__}" for c in object.__subclasses__())
send.send_nowait("\\n".join(map(str, found)))
"""


@pytest.mark.parametrize("name", HARMLESS)
def test_is_as_new(name):
    """A script sees the same in a used interpreter as in one that nobody has used."""
    script = """
        si.set_reserve_limit(0)
        with si.create() as interp:
            expected = run(interp, sys.argv[2]).splitlines()
        si.set_reserve_limit(4)
        first = life(sys.argv[1])
        with si.create() as interp:
            found = run(interp, sys.argv[2]).splitlines()
            assert identity(interp) == first
        assert found == expected, set(found) ^ set(expected)
    """
    run_script(LIVES + dedent(script), HARMLESS[name], STATE)


def test_main_is_a_new_module():
    script = """
        life("__annotations__ = 1; __doc__ = 'x'; import sys; sys.modules['__main__'].y = 1")
        with si.create() as interp:
            names = run(interp, "send.send_nowait(' '.join(globals()))").split()
        si.set_reserve_limit(0)
        with si.create() as interp:
            assert run(interp, "send.send_nowait(' '.join(globals()))").split() == names
    """
    run_script(LIVES + dedent(script))


def test_environment_is_that_of_the_process():
    script = """
        import os
        first = life("pass")
        os.environ["NEW"] = "1"
        with si.create() as interp:
            assert identity(interp) != first
            assert run(interp, "import os; send.send_nowait(os.environ['NEW'])") == "1"
    """
    run_script(LIVES + dedent(script))


def test_sys_path_is_that_of_the_creator():
    script = """
        life("import sys; sys.path[:] = ['/of/the/life']")
        sys.path.append("/of/the/creator")
        with si.create() as interp:
            assert run(interp, "import sys; send.send_nowait(tuple(sys.path))") == tuple(sys.path)
    """
    run_script(LIVES + dedent(script))


def test_what_is_inherited_changes_from_life_to_life():
    """What the life before has inherited is there in advance."""
    script = """
        import warnings
        code = '''if True:
            import sys, warnings
            try:
                warnings.warn(which)
            except UserWarning:
                send.send_nowait((tuple(sys.path), tuple(sys.argv)))
            sys.path[:], sys.argv = ["/of/the/life"], ["of the life"]
            warnings.simplefilter("ignore")
        '''
        for number in (0, 0, 0, 1, 1, 0, 2):
            sys.path[1:1] = [f"/of/{number}"]
            sys.argv[1:] = [f"for {number}"] * number
            with warnings.catch_warnings():
                warnings.filterwarnings("error", f"of {number}", UserWarning)
                with si.create() as interp:
                    found = run(interp, code, which=f"of {number}")
            assert found == (tuple(sys.path), tuple(sys.argv)), found
            del sys.path[1]
    """
    run_script(LIVES + dedent(script))


def test_our_module_is_not_seen_before_it_is_needed():
    """It is made in advance if the life before has needed it."""
    script = """
        look = "import sys; assert not [name for name in sys.modules if 'subinterpreters' in name]"
        use = "import subinterpreters as si; si.create_channel(); here = si.get_current().id"
        for needed in (False, True, True, False, False, True):
            with si.create() as interp:
                interp.exec(look)
                if needed:
                    assert interp.call(pow, 2, 3) == 8
                    interp.exec(use)
                    assert interp.call(eval, "__import__('__main__').here") == interp.id
    """
    run_script(LIVES + dedent(script))


def test_our_module_is_imported_by_several_threads():
    """There is one, whether it was made in advance or not."""
    script = """
        race = '''if True:
            import sys, threading
            sys.setswitchinterval(1e-6)
            start, found = threading.Barrier(4), []
            def use():
                start.wait()
                from subinterpreters._subinterpreters import Interpreter
                found.append(Interpreter)
            threads = [threading.Thread(target=use) for _ in range(4)]
            for thread in threads:
                thread.start()
        '''
        join = '''if True:
            for thread in threads:
                thread.join()
            assert len(found) == 4 and len(set(found)) == 1
            assert found[0] is sys.modules["subinterpreters._subinterpreters"].Interpreter
        '''
        for _ in range(30):
            with si.create() as interp:
                interp.exec(race)
                interp.prepare_main(channel=recv)  # this needs it, too
                interp.exec(join)
    """
    run_script(LIVES + dedent(script))


def test_a_module_that_is_written_later_is_found(tmp_path):
    """Even if its folder tells of no change, when it was changed a moment before."""
    script = """
        import os
        import pathlib
        import time
        folder = pathlib.Path(sys.argv[1])
        sys.path.insert(0, str(folder))
        (folder / "first.py").write_text("x = 1")
        later = time.time_ns() + 3600 * 10**9  # on a machine where that takes long
        os.utime(folder, ns=(later, later))
        life("import sys; sys.dont_write_bytecode = True; import first")  # the next one looks there
        before = folder.stat()
        (folder / "second.py").write_text("x = 2")
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
        with si.create() as interp:
            assert run(interp, "import second; send.send_nowait(second.x)") == 2
    """
    run_script(LIVES + dedent(script), tmp_path)


def test_the_first_folder_of_sys_path_comes_and_goes(tmp_path):
    """It need not be the one that was there in the life before, or that was meant then."""
    script = """
        import os
        import pathlib
        import shutil
        base = pathlib.Path(sys.argv[1])

        def make(name, x):
            folder = base / name
            folder.mkdir()
            (folder / f"m{x}.py").write_text(f"x = {x}")
            os.utime(folder, (1e9 + x, 1e9 + x))  # it was not changed just now
            return folder

        def life_with(first, x, meanwhile=None):
            sys.path.insert(0, str(first))
            with si.create() as interp:
                code = f"import sys; sys.dont_write_bytecode = True; import m{x}; send.send_nowait(m{x}.x)"
                assert run(interp, code) == x
                if meanwhile:
                    meanwhile()
            del sys.path[0]

        life_with(make("one", 1), 1, lambda: shutil.rmtree(base / "one"))
        life_with(make("one", 2), 2)
        shutil.rmtree(base / "one")
        life_with(make("one", 3), 3)
        for x in (4, 5):
            os.chdir(make(str(x), x))
            life_with(".", x)
        (base / "4").rename(base / "one" / "4")
        life_with(base / "one" / "4", 4)
    """
    run_script(LIVES + dedent(script), tmp_path)


def test_folders_are_looked_into_in_advance(tmp_path):
    """Those that the life before has looked into, if they were not changed just now."""
    script = """
        import os
        import pathlib
        import time
        base = pathlib.Path(sys.argv[1])
        os.chdir(base)
        soon = time.time() + 3600
        look = ("import sys; cache = sys.path_importer_cache; send.send_nowait("
                "[path for path in paths if path in cache and cache[path]._path_mtime >= 0])")
        for name, when in (("old", 1e9), ("new", soon), ("relative", 1e9), ("unused", 1e9)):
            folder = base / name
            folder.mkdir()
            (folder / f"{name}.py").touch()
            os.utime(folder, (when, when))
        paths = [str(base / "old"), str(base / "new"), "relative", str(base / "unused")]
        life(f"import sys; sys.dont_write_bytecode = True; sys.path[:0] = {paths[:3]}; import relative")
        with si.create() as interp:
            read = run(interp, look, paths=paths)
        assert read == paths[:1], read
    """
    run_script(LIVES + dedent(script), tmp_path)


def test_what_the_creator_does_not_have():
    """It stays as it is in a new interpreter, and not as the life before had it."""
    script = """
        look = "import sys; send.send_nowait((tuple(sys.path), tuple(sys.argv)))"
        for name in ("argv", "path"):
            getattr(sys, name).append("/of/the/life/before")
            si.set_reserve_limit(4)
            with si.create() as interp:
                assert "/of/the/life/before" in str(run(interp, look))
            kept = getattr(sys, name)
            delattr(sys, name)
            with si.create() as interp:
                found = run(interp, look)
            si.set_reserve_limit(0)
            with si.create() as interp:
                assert run(interp, look) == found
            setattr(sys, name, kept)
    """
    run_script(LIVES + dedent(script), "an argument")


def test_output_in_buffers_is_written():
    done = run_script(LIVES + "life('import sys; sys.stdout.write(\"half a line\")')")
    assert done.stdout == "half a line"


def test_finalizers_run_at_the_closing():
    script = """
        first = life("class A:\\n    def __del__(self): print('gone', A.__name__)\\na = A()")
        print("closed")
        assert is_reused_after("pass")
    """
    done = run_script(LIVES + dedent(script))
    assert done.stdout == "gone A\nclosed\n"


def test_setting_of_the_main_interpreter():
    """A new interpreter takes it over."""
    script = """
        life("pass")
        sys.set_int_max_str_digits(0)
        code = "import sys; send.send_nowait(sys.get_int_max_str_digits())"
        with si.create() as interp:
            found = run(interp, code)
        si.set_reserve_limit(0)
        with si.create() as interp:
            assert run(interp, code) == found
    """
    run_script(LIVES + dedent(script))


def test_thread_started_by_a_finalizer():
    """The closing joins it."""
    script = """
        code = (
            "import _thread, time, sys\\n"
            "class A:\\n"
            "    def __del__(self, start=_thread.start_new_thread, run=time.sleep):\\n"
            "        start(run, (0.5,))\\n"
            "sys.a = A()"
        )
        start = time.monotonic()
        life(code)
        assert time.monotonic() - start > 0.4
        life("pass")
    """
    run_script("import time\n" + LIVES + dedent(script))


def test_finalizers_see_builtins():
    script = """
        life("import builtins\\nclass A:\\n    def __del__(self): print('gone')\\nbuiltins.a = A()")
    """
    assert run_script(LIVES + dedent(script)).stdout == "gone\n"


def test_tracing_ends():
    """What a trace function has instrumented goes back to full speed."""
    script = """
        CODE = (
            "import time\\n"
            "best = 9\\n"
            "for _ in range(5):\\n"
            "    start = time.perf_counter()\\n"
            "    for i in range(100_000): i = i + 1\\n"
            "    best = min(best, time.perf_counter() - start)\\n"
            "send.send_nowait(best)"
        )
        with si.create() as interp:
            before = run(interp, CODE)
        first = life("import sys; sys.settrace(lambda *a: None); sys.setprofile(lambda *a: None)")
        with si.create() as interp:
            assert run(interp, CODE) < 1.6 * before
            assert identity(interp) == first
    """
    run_script(LIVES + dedent(script))


@pytest.mark.parametrize(
    "made",
    [
        "import random; kept = random.Random(1)",
        "import itertools; kept = itertools.count()",
        "kept = bytearray(9)",
        "import _thread; kept = [_thread.allocate_lock()]",
        "kept = (i for i in 'abc')",
        "import io; kept = io.StringIO()",
        "kept = [{} for _ in range(50_000)]",
    ],
)
def test_objects_made_when_python_starts(made, tmp_path):
    """Those that have more to them than what they refer to do not live twice."""
    (tmp_path / "sitecustomize.py").write_text(made)
    script = """
        with si.create() as interp:
            first = identity(interp)
            assert run(interp, "import sitecustomize as s; send.send_nowait(hasattr(s, 'kept'))")
        with si.create() as interp:
            found = identity(interp)
            run(interp, "import sitecustomize as s; s.kept")
        assert sys.argv[1].startswith("kept = [{}") or found != first
    """
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run_script(LIVES + dedent(script), made, env=env)


def test_noting_that_fails_leaves_nothing():
    """Without standard input an interpreter is not noted; it looks like any other."""
    script = """
        import os
        os.close(0)
        code = "import sys; send.send_nowait(' '.join(sorted(sys.modules)))"
        with si.create() as interp:
            first, found = identity(interp), run(interp, code)
        with si.create() as interp:
            assert identity(interp) != first
        si.set_reserve_limit(0)
        with si.create() as interp:
            identity(interp)
            assert run(interp, code) == found
    """
    run_script(LIVES + dedent(script))


def test_limit():
    script = """
        si._subinterpreters._pause_making()  # none is to take their places
        assert si.get_reserve_limit() >= 4
        si.set_reserve_limit(0)
        assert si.get_reserve_limit() == 0
        si.set_reserve_limit(2)
        interps = [si.create() for _ in range(4)]
        marks = {identity(interp) for interp in interps}
        for interp in interps:
            interp.close()
        again = [si.create() for _ in range(4)]
        assert len(marks & {identity(interp) for interp in again}) >= 2
        for wrong, error in (-1, ValueError), (257, ValueError), (1.5, TypeError), ("1", TypeError):
            try:
                si.set_reserve_limit(wrong)
            except error as e:
                assert wrong != -1 or str(e) == "limit must be 0 to 256, got -1"
            else:
                raise AssertionError(wrong)
    """
    run_script(LIVES + dedent(script))


def test_ids_are_not_used_again():
    script = """
        ids = []
        for n in range(5):
            with si.create(name=f"x{n}") as interp:
                assert interp.name == f"x{n}"
                ids.append(interp.id)
                inside = "import subinterpreters as si; send.send_nowait(si.get_current().id)"
                assert run(interp, inside) == interp.id
        assert len(set(ids)) == 5 and ids == sorted(ids)
        assert si.list_all() == [si.get_main()]
    """
    run_script(LIVES + dedent(script))


def test_shared_ones_are_ended():
    script = """
        with si.create(isolation="shared") as interp:
            first = identity(interp)
        for kind in "shared", "own":
            with si.create(isolation=kind) as interp:
                assert identity(interp) != first
    """
    run_script(LIVES + dedent(script))


def test_fork():
    """The child of a fork does not take its parent's interpreters."""
    script = """
        import os, warnings
        warnings.simplefilter("ignore")
        life("pass")
        child = os.fork()
        if child == 0:
            with si.create() as interp:
                interp.exec("import json")
            si.create().exec("import socket")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert is_reused_after("pass")
    """
    run_script("import os\n" + LIVES + dedent(script))


def test_storm():
    """Threads make, run and close while another changes the limit: nobody sees another's life."""
    script = """
        import random, threading
        from concurrent.futures import ThreadPoolExecutor
        CODE = (
            "import sys, builtins, json\\n"
            "assert not hasattr(sys, 'mark') and not hasattr(builtins, 'mark'), 'left'\\n"
            "assert 'mark' not in globals()\\n"
            "sys.mark = builtins.mark = mark = [sys]\\n"
        )
        done = threading.Event()

        def change():
            rng = random.Random(5)
            while not done.wait(0.01):
                si.set_reserve_limit(rng.randrange(5))

        def work(n):
            with si.create() as interp:
                interp.exec(CODE)
                if n % 7 == 0:
                    interp.exec("import codecs; codecs.register(lambda n: None)")

        changer = threading.Thread(target=change)
        changer.start()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(200)))
        done.set()
        changer.join()
        assert si.list_all() == [si.get_main()]
    """
    run_script(LIVES + dedent(script), timeout=120)


def test_the_stack_is_measured_once():
    """A new thread state of the initial thread does not make glibc read the process's mappings again."""
    script = """
        def read():
            with open("/proc/self/io") as file:
                return int(file.readline().removeprefix("rchar:"))

        def lives():
            for _ in range(5):
                with si.create() as interp:
                    interp.exec("pass")

        read(), lives()
        before = read()
        nothing = read() - before
        before = read()
        lives()
        assert read() - before == nothing, (read() - before, nothing)
    """
    run_script(LIVES + dedent(script))


def test_the_stack_is_guarded():
    """Recursion in C is stopped in time, on the initial thread and on others."""
    script = """
        import threading
        CODE = (
            "x = []\\n"
            "for _ in range(300_000): x = [x]\\n"
            "try: repr(x)\\n"
            "except RecursionError: print('stopped')\\n"
            "while x: x = x.pop()\\n"
        )
        def lives():
            for _ in range(3):
                with si.create() as interp:
                    interp.exec(CODE)
        lives()
        thread = threading.Thread(target=lives)
        thread.start()
        thread.join()
    """
    assert run_script(LIVES + dedent(script)).stdout == "stopped\n" * 6


@not_under_asan("keeps what was freed")
def test_memory_of_one_interpreter():
    """It does not grow with its lives."""
    script = """
        import ctypes, gc, os

        def rss():
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)
            with open("/proc/self/statm") as f:
                return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")

        CODE = "import socket, threading, json; x = [socket, object()] * 1000"
        first = life(CODE)
        for _ in range(50):
            life(CODE)
        before = rss()
        for _ in range(200):
            last = life(CODE)
        assert last == first
        assert rss() - before < 2 << 20, rss() - before
    """
    run_script(LIVES + dedent(script), timeout=120)
