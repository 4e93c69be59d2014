# SPDX-License-Identifier: MIT
"""Whatever code raises, its caller gets a typed error, and the interpreter goes on."""

import json
import os
import sys
import textwrap

import pytest
from support import DEFAULT, KINDS, WAIT, not_under_asan, run_script

# name: (code, the __name__ that excinfo.type has to have, or None)
SHAPES = {
    "plain": ("raise ValueError('x')", "ValueError"),
    "str raises": (
        """
        class E(Exception):
            def __str__(self): raise KeyError
            __repr__ = __str__
        raise E
        """,
        "E",
    ),
    "str returns an int": (
        """
        class E(Exception):
            def __str__(self): return 1
            __repr__ = __str__
        raise E
        """,
        "E",
    ),
    "str recurses": (
        """
        class E(Exception):
            def __str__(self): return str(self)
            __repr__ = __str__
        raise E
        """,
        "E",
    ),
    "str raises SystemExit": (
        """
        class E(Exception):
            def __str__(self): raise SystemExit(3)
        raise E
        """,
        "E",
    ),
    "str subclass as a message": (
        """
        class S(str):
            def __str__(self): raise ValueError
            def encode(self, *args): raise ValueError
        class E(Exception):
            def __str__(self): return S("text")
        raise E
        """,
        "E",
    ),
    "lone surrogate": ("raise ValueError('a\\udc80')", "ValueError"),
    "null character": ("raise ValueError('a\\0b')", "ValueError"),
    "percent signs": ("raise ValueError('%s %n %d')", "ValueError"),
    "surrogate in the type's name": ("raise type('E\\udc80', (Exception,), {})", None),
    "metaclass with a hostile repr": (
        """
        class M(type):
            def __repr__(cls): raise ValueError
            __str__ = __repr__
        class E(Exception, metaclass=M): pass
        raise E
        """,
        "E",
    ),
    "metaclass with hostile names": (
        """
        class M(type):
            def __getattribute__(cls, name): raise RuntimeError(name)
        class E(Exception, metaclass=M): pass
        raise E
        """,
        None,
    ),
    "metaclass whose names are no str": (
        """
        class M(type):
            __name__ = __qualname__ = __module__ = property(lambda cls: 1)
        class E(Exception, metaclass=M): pass
        raise E
        """,
        None,
    ),
    "module is None": (
        """
        class E(Exception): __module__ = None
        raise E
        """,
        "E",
    ),
    "module is a number": (
        """
        class E(Exception): __module__ = 1
        raise E
        """,
        "E",
    ),
    "cause is a cycle": (
        """
        a, b = ValueError("a"), ValueError("b")
        a.__cause__, b.__cause__ = b, a
        raise a
        """,
        "ValueError",
    ),
    "context is deep": (
        """
        e = None
        for k in range(2000):
            new = ValueError(k)
            new.__context__ = e
            e = new
        raise e
        """,
        "ValueError",
    ),
    "group": ("raise ExceptionGroup('g', [ValueError(1), TypeError(2)])", "ExceptionGroup"),
    "group of groups": (
        """
        e = ValueError(1)
        for k in range(100):
            e = ExceptionGroup(str(k), [e, KeyError(k)])
        raise e
        """,
        "ExceptionGroup",
    ),
    "traceback shadowed": (
        """
        class E(Exception):
            __traceback__ = property(lambda self: 1)
            __cause__ = __context__ = property(lambda self: 2)
        raise E
        """,
        "E",
    ),
    "traceback of somebody else": (
        """
        def f(n): return f(n - 1) if n else 1 / 0
        try: f(50)
        except ZeroDivisionError as e: tb = e.__traceback__
        raise ValueError("v").with_traceback(tb)
        """,
        "ValueError",
    ),
    "getattribute raises": (
        """
        class E(Exception):
            def __getattribute__(self, name): raise RuntimeError(name)
        raise E
        """,
        "E",
    ),
    "notes are no list": (
        """
        e = ValueError("v")
        e.__notes__ = 7
        raise e
        """,
        "ValueError",
    ),
    "finalizer raises": (
        """
        class E(Exception):
            def __del__(self): raise ValueError("from __del__")
        import sys
        sys.unraisablehook = lambda *args: None
        raise E
        """,
        "E",
    ),
    "traceback module broken": (
        """
        import sys
        sys.modules["traceback"] = None
        raise ValueError
        """,
        "ValueError",
    ),
    "message of 20 MB": ("raise ValueError('x' * 20_000_000)", "ValueError"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "SystemExit": ("raise SystemExit(5)", "SystemExit"),
    "sys.exit": ("import sys; sys.exit('bye')", "SystemExit"),
    "GeneratorExit": ("raise GeneratorExit", "GeneratorExit"),
    "StopIteration": ("raise StopIteration", "StopIteration"),
    "SyntaxError": ("1 +", "SyntaxError"),
    "hostile SyntaxError": (
        """
        e = SyntaxError("m", (1, "x", {}, []))
        e.text = e.lineno = e.filename = object()
        raise e
        """,
        "SyntaxError",
    ),
    "deep recursion": (
        """
        def f(): f()
        f()
        """,
        "RecursionError",
    ),
    "deep recursion in C": (
        """
        class C: pass
        C.__repr__ = lambda self: repr(self)
        repr(C())
        """,
        "RecursionError",
    ),
    "high recursion limit, bounded": (
        """
        import sys
        sys.setrecursionlimit(10**8)
        def f(n): return f(n - 1) if n else 1 / 0
        f(20_000)
        """,
        "ZeroDivisionError",
    ),
    "raise MemoryError": ("raise MemoryError", "MemoryError"),
    "subclass of MemoryError": (
        """
        class E(MemoryError): pass
        raise E
        """,
        "E",
    ),
    "bytearray too big": ("bytearray(1 << 62)", "MemoryError"),
    "repetition too big": ("'x' * (1 << 62)", "MemoryError"),
}

# Each has an interpreter of its own. What is printed tells where it ends, if it does.
EXEC = """
    import json, sys
    import subinterpreters as si

    def run(interp, code, name):
        try:
            interp.exec(code)
        except si.ExecutionFailed as e:
            info = e.excinfo
            assert name is None or info.type.__name__ == name, info.type.__name__
            for text in (str(e), repr(e), repr(info)):
                assert type(text) is str
            for text in (info.msg, info.formatted, info.errdisplay):
                assert text is None or type(text) is str, text
            assert e.__cause__ is None and e.__context__ is None
        else:
            raise AssertionError("nothing was raised")

    for shape, (code, name) in json.loads(sys.argv[2]).items():
        print(shape, flush=True)
        with si.create(isolation=sys.argv[1]) as interp:
            for _ in range(3):
                run(interp, code, name)
            recv, send = si.create_channel()
            interp.prepare_main(send=send)
            interp.exec("send.send(6 * 7)")
            assert recv.recv(timeout=5) == 42
"""

RUN_STRING = """
    import json, sys
    import subinterpreters
    subinterpreters._install_xxsubinterpreters()
    import _xxsubinterpreters as xx

    for shape, (code, _) in json.loads(sys.argv[2]).items():
        print(shape, flush=True)
        id = xx.create(isolated=sys.argv[1] != "shared")
        for _ in range(3):
            try:
                xx.run_string(id, code)
            except xx.RunFailedError as e:
                assert type(str(e)) is str
            else:
                raise AssertionError("nothing was raised")
        cid = xx.channel_create()
        xx.run_string(id, "import _xxsubinterpreters as xx; xx.channel_send(int(cid), 42)",
                      {"cid": cid})
        assert xx.channel_recv(cid) == 42
        xx.destroy(id)
"""


def run_shapes(script: str, kind: str) -> None:
    shapes = {shape: (textwrap.dedent(code), name) for shape, (code, name) in SHAPES.items()}
    done = run_script(script, kind, json.dumps(shapes), timeout=3 * WAIT)
    assert done.stdout.splitlines() == list(SHAPES)


@pytest.mark.parametrize("kind", KINDS)
def test_exec_raises_execution_failed(kind: str) -> None:
    run_shapes(EXEC, kind)


def test_run_string_raises_run_failed_error() -> None:
    run_shapes(RUN_STRING, DEFAULT)


OUT_OF_MEMORY = """
    import resource, sys, threading
    import subinterpreters as si

    interps = [si.create(isolation=sys.argv[1]) for _ in range(4)]
    with open("/proc/self/statm") as f:
        used = int(f.read().split()[0]) * resource.getpagesize()
    code = '''if True:
        kept = []
        try:
            while True:
                kept.append(bytearray(1 << 20))
        finally:
            kept = None
    '''
    outcomes = []

    def work(interp):
        try:
            interp.exec(code)
            outcomes.append("nothing was raised")
        except (si.ExecutionFailed, MemoryError) as e:
            if isinstance(e, si.ExecutionFailed):
                assert e.excinfo.type.__name__ == "MemoryError", e
            outcomes.append("MemoryError")

    threads = [threading.Thread(target=work, args=[interp]) for interp in interps]
    resource.setrlimit(resource.RLIMIT_AS, (used + (600 << 20), resource.RLIM_INFINITY))
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert outcomes == ["MemoryError"] * 4, outcomes
    for interp in interps:
        interp.exec("x = 1")
        interp.close()
"""


@not_under_asan("reserves address space")
@pytest.mark.parametrize("kind", KINDS)
def test_memory_runs_out_in_four_interpreters_at_once(kind):
    run_script(OUT_OF_MEMORY, kind)


# From then on it goes together with all kinds.
TRACING = sys.version_info >= (3, 15)


@pytest.mark.parametrize("isolation", KINDS)
def test_memory_that_is_traced(isolation: str) -> None:
    """Where the two would end in a crash or hang, the one is refused while there is the other."""
    run_script(
        """
        import sys, time, tracemalloc
        import subinterpreters as si
        isolation, together = sys.argv[1], sys.argv[2] == "True"

        def refused(error, text, function, *args, **kwargs):
            try:
                result = function(*args, **kwargs)
            except error as raised:
                assert not together and text in str(raised), raised
            else:
                assert together
                return result

        with si.create(isolation=isolation) as interp:
            interp.exec("import json")
            refused(RuntimeError, "interpreters", tracemalloc.start, 5)
            assert tracemalloc.is_tracing() == together
            interp.exec("text = json.dumps([{str(i): i} for i in range(1000)])")
            recv, send = si.create_channel()
            interp.prepare_main(send=send)
            interp.exec("send.send_buffer(bytearray(1000)); del send")
            view = recv.recv()
        tracemalloc.stop()
        refused(RuntimeError, "interpreters", tracemalloc.start, 5)  # the view keeps it from ending
        tracemalloc.stop()
        del view
        end = time.monotonic() + 20
        while not tracemalloc.is_tracing() and time.monotonic() < end:
            try:
                tracemalloc.start(5)
            except RuntimeError:
                time.sleep(0.001)
        tracemalloc.stop()
        tracemalloc.start(5)
        assert tracemalloc.get_traceback_limit() == 5
        for _ in range(3):
            made = refused(si.InterpreterError, "tracemalloc", si.create, isolation=isolation)
            if made is not None:
                made.exec("import json")
                made.close()
        tracemalloc.stop()
        si.create(isolation=isolation).exec("import json")
        """,
        isolation,
        str(TRACING or isolation == "private"),
    )


@pytest.mark.skipif(TRACING or sys.version_info < (3, 12), reason="nothing is refused there")
def test_memory_that_is_traced_from_the_start() -> None:
    run_script(
        """
        import tracemalloc
        import subinterpreters as si
        assert tracemalloc.is_tracing()
        try:
            si.create()
        except si.InterpreterError as error:
            assert "tracemalloc" in str(error)
        else:
            raise AssertionError("it was made")
        si.create(isolation="private").close()
        """,
        env=os.environ | {"PYTHONTRACEMALLOC": "1"},
    )
