# SPDX-License-Identifier: MIT
"""Recursion and memory at their limits: always an exception, and the interpreter goes on."""

import pytest
from support import KINDS, WAIT, run_script

from subinterpreters import ExecutionFailed, create

RECURSIONS = {
    "python": "def f(): f()\nf()",
    "repr": "class C:\n def __repr__(self): return repr(self)\nrepr(C())",
    "list": "x = []\nfor _ in range(200_000): x = [x]\nimport pickle\npickle.dumps(x)",
    "reduce": (
        "import subinterpreters as si\n"
        "class C:\n def __reduce__(self): return C, (C(),)\n"
        "si.create_channel()[1].send(C())"
    ),
    "reduce that sends": (
        "import subinterpreters as si\n"
        "recv, send = si.create_channel()\n"
        "class C:\n def __reduce__(self): send.send([self])\n"
        "send.send(C())"
    ),
    "nested containers": (
        "import subinterpreters as si\n"
        "x = []\nfor _ in range(200_000): x = [{1: (x,)}]\n"
        "si.create_channel()[1].send(x)"
    ),
}


@pytest.fixture(params=KINDS, scope="module")
def interp(request):
    with create(isolation=request.param) as each:
        yield each


def recursion(interp, code):
    with pytest.raises(ExecutionFailed) as caught:
        interp.exec(code)
    told = str(caught.value)
    assert "RecursionError" in told or "ecursion" in told or "overflow" in told, told[:300]
    assert interp.call(len, "abc") == 3


@pytest.mark.leaves_open  # in __main__ of an interpreter that other tests use, too
@pytest.mark.parametrize("what", RECURSIONS)
def test_recursion(interp, what):
    recursion(interp, RECURSIONS[what])


STACKS = """
import sys, threading
import subinterpreters as si
sys.path.insert(0, sys.argv[1])
import test_limits

size, kind = int(sys.argv[2]), sys.argv[3]
interp = si.create(isolation=kind)
interp.call(len, "abc")
failed = []
def work():
    try:
        assert interp.call(len, "abc") == 3
        for code in test_limits.RECURSIONS.values():
            test_limits.recursion(interp, code)
    except BaseException as error:
        failed.append(error)
threading.stack_size(size)
thread = threading.Thread(target=work)
thread.start()
thread.join()
for error in failed:
    raise error
interp.close()
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [256 << 10, 1 << 20])
@pytest.mark.skipif(
    "sys.version_info < (3, 14)", reason="before 3.14 CPython does not look at the stack"
)
def test_recursion_in_small_stacks(kind, size):
    run_script(STACKS, __file__.rpartition("/")[0], str(size), kind)


NESTED = """
import subinterpreters as si

def nest(depth):
    import subinterpreters as si
    if depth == 0:
        return [si.get_current().id]
    with si.create(isolation=kind) as interp:
        interp.exec(f"kind = {kind!r}")
        return interp.call(nest, depth - 1) + [si.get_current().id]

import sys
kind, depth = sys.argv[1], int(sys.argv[2])
assert len(set(nest(depth))) == depth + 1
"""


@pytest.mark.parametrize("kind", KINDS)
def test_interpreters_in_interpreters(kind):
    run_script(NESTED, kind, "50" if kind != "private" else "12", timeout=3 * WAIT)


@pytest.mark.parametrize("kind", KINDS)
def test_a_high_recursion_limit(kind):
    """What recurses in C of ours is bounded by itself, whatever the limit is."""
    run_script(
        """
        import sys
        import subinterpreters as si
        sys.setrecursionlimit(10**8)
        deep = []
        for _ in range(200_000):
            deep = [deep]
        recv, send = si.create_channel()
        try:
            send.send(deep)
        except RecursionError:
            pass
        else:
            recv.recv()
        with si.create(isolation=sys.argv[1]) as interp:
            interp.exec('''if True:
                import sys, subinterpreters as si
                sys.setrecursionlimit(10**8)
                deep = []
                for _ in range(200_000):
                    deep = [deep]
                try:
                    si.create_channel()[1].send(deep)
                except RecursionError:
                    pass
                while deep:
                    deep = deep[0]
            ''')
        while deep:
            deep = deep[0]
        """,
        kind,
    )


# ---- memory ----------------------------------------------------------------------------------------


class Mine(MemoryError):
    """Other interpreters can import it."""


def fail(error, *args):
    raise error(*args)


def allocate():
    return bytearray(1 << 62)


@pytest.mark.parametrize("error", [MemoryError, Mine])
def test_memory_errors(interp, error):
    for make in (
        lambda: interp.call(fail, error, "text"),
        lambda: interp.call(fail, error, "text", timeout=WAIT),
        lambda: interp.submit(fail, error, "text").result(WAIT),
    ):
        with pytest.raises(error, match="text") as caught:
            make()
        assert isinstance(caught.value, ExecutionFailed)
    for make in (lambda: interp.call(allocate), lambda: interp.submit(allocate).result(WAIT)):
        with pytest.raises(MemoryError):
            make()
    for timeout in None, WAIT:
        with pytest.raises(ExecutionFailed, match="MemoryError"):
            interp.exec("bytearray(1 << 62)", timeout=timeout)
    assert interp.call(len, "abc") == 3


NO_MEMORY = """
import resource, sys, threading
import subinterpreters as si
kind, how = sys.argv[1:]
def fill():
    kept = []
    try:
        while True:
            kept.append(bytes(1 << 20))
    finally:
        kept = None
interps = [si.create(isolation=kind) for _ in range(4)]
for interp in interps:
    interp.submit(len, "abc").result()  # its thread and modules are there
outcomes = []
limited = threading.Event()
def work(interp):
    limited.wait()
    for _ in range(3):
        try:
            if how == "call":
                interp.call(fill)
            else:
                interp.submit(fill).result()
        except (MemoryError, si.ExecutionFailed) as error:
            outcomes.append(isinstance(error, MemoryError) or error.excinfo.type.__name__ == "MemoryError")
        else:
            outcomes.append("nothing was raised")
threads = [threading.Thread(target=work, args=[interp]) for interp in interps]
for t in threads:
    t.start()
with open("/proc/self/statm") as f:
    used = int(f.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (400 << 20), resource.RLIM_INFINITY))
limited.set()
for t in threads:
    t.join()
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert outcomes == [True] * 12, outcomes
for interp in interps:
    assert interp.call(len, "abc") == 3
    interp.close()
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["call", "submit"])
def test_memory_runs_out_in_four_calls_at_once(kind, how):
    run_script(NO_MEMORY, kind, how)
