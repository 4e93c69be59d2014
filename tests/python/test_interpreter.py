# SPDX-License-Identifier: MIT
"""Interpreters: made, run, shared with, and closed."""

import pickle
import queue
import textwrap
from collections import ChainMap
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
from support import DEFAULT, KINDS, WAIT, start

import subinterpreters
from subinterpreters import (
    ChannelClosedError,
    ExecutionFailed,
    Interpreter,
    InterpreterClosedError,
    InterpreterError,
    InterpreterNotFoundError,
    NotShareableError,
    create,
    create_channel,
    get_current,
    get_main,
    list_all,
    select,
)

all_kinds = pytest.mark.parametrize("interp", KINDS, indirect=True)


@pytest.fixture
def interp(request: pytest.FixtureRequest) -> Iterator[Interpreter]:
    with create(isolation=getattr(request, "param", None)) as each:
        yield each


class Talk:
    """Two channels between a test and the code in an interpreter: tell, and wait."""

    def __init__(self, interp: Interpreter) -> None:
        self.told, tell = create_channel()
        wait, self.go = create_channel()
        interp.prepare_main(tell=tell, wait=wait)

    def hear(self) -> Any:
        return self.told.recv(timeout=WAIT)


def closure(n: int) -> Callable[[], int]:
    return lambda: n


@contextmanager
def running(interp: Interpreter) -> Iterator[Future[None]]:
    """Let code run in the interpreter, on another thread, for the length of the block."""
    talk = Talk(interp)
    run = start(interp.exec, "tell.send(None); wait.recv()")
    talk.hear()
    try:
        yield run
    finally:
        talk.go.send(None)
        run.result(WAIT)


def value(interp: Interpreter, expression: str) -> Any:
    """Evaluate an expression in the interpreter."""
    recv, send = create_channel()
    interp.prepare_main(_send=send)
    interp.exec(f"_send.send({expression}); del _send")
    return recv.recv(timeout=WAIT)


# ---- create --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "isolation"),
    [
        ({}, DEFAULT),
        ({"isolation": None}, DEFAULT),
        *[({"isolation": kind}, kind) for kind in KINDS],
    ],
)
def test_isolation(arguments: dict[str, Any], isolation: str) -> None:
    with create(**arguments) as interp:
        assert interp.isolation == isolation
        assert value(interp, "6 * 7") == 42


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"isolation": "none"}, ValueError),
        ({"isolation": ""}, ValueError),
        ({"isolation": "main"}, ValueError),
        ({"isolation": "own\0"}, ValueError),
        ({"isolation": 1}, TypeError),
        ({"isolation": b"own"}, TypeError),
        ({"name": 1}, TypeError),
        ({"name": "a\0b"}, ValueError),
        ({"name": "\udc80"}, ValueError),
        ({"nmae": "a"}, TypeError),
    ],
)
def test_bad_arguments_of_create(arguments: dict[str, Any], error: type[Exception]) -> None:
    before = list_all()
    with pytest.raises(error):
        create(**arguments)
    assert list_all() == before


def test_create_takes_no_positional_argument() -> None:
    with pytest.raises(TypeError):
        create("own")  # type: ignore[misc]


@pytest.mark.parametrize("name", ["a", "Ümläut \N{SNAKE}", "x" * 1000])
def test_name(name: str) -> None:
    with create(name=name) as interp:
        assert interp.name == name


@pytest.mark.parametrize("name", [None, ""])
def test_default_name(name: str | None) -> None:
    with create(name=name) as interp:
        assert interp.name == f"interpreter-{interp.id}"


def test_identity(interp: Interpreter) -> None:
    with create() as other:
        [same] = [each for each in list_all() if each.id == interp.id]
        assert (same == interp, same != interp, hash(same)) == (True, False, hash(interp))
        assert (other == interp, other != interp) == (False, True)
        assert other.id > interp.id > get_main().id == 0
        assert repr(interp) == f"Interpreter({interp.id})"
        assert interp != interp.id
        with pytest.raises(TypeError):
            interp < other  # type: ignore[operator]  # noqa: B015


def test_ids_are_not_used_again() -> None:
    ids = []
    for _ in range(3):
        with create() as interp:
            ids.append(interp.id)
    assert ids == sorted(set(ids))


def test_the_type_makes_nothing() -> None:
    with pytest.raises(TypeError):
        Interpreter()
    with pytest.raises(TypeError):
        type("Sub", (Interpreter,), {})


def test_attributes_are_read_only(interp: Interpreter) -> None:
    for name in "id", "name", "isolation", "unknown":
        with pytest.raises(AttributeError):
            setattr(interp, name, None)


# ---- exec ----------------------------------------------------------------------------------


@all_kinds
def test_main_keeps_its_state(interp: Interpreter) -> None:
    interp.exec("x = 1; import sys")
    interp.exec("x += 1")
    assert value(interp, "(x, __name__, sys.modules['__main__'].x)") == (2, "__main__", 2)


DEFINE = "functions = [*globals().get('functions', []), lambda: None]"


@all_kinds
@pytest.mark.parametrize(
    ("padding", "codes"), [(0, 1), (60_000, 1), (70_000, 2)], ids=["short", "long", "too-long"]
)
def test_the_same_text_is_compiled_once(interp: Interpreter, padding: int, codes: int) -> None:
    text = DEFINE + " " * padding
    interp.exec(text)
    interp.exec(text)
    assert value(interp, "len({id(f.__code__) for f in functions})") == codes


def test_texts_in_turns(interp: Interpreter) -> None:
    for _ in range(3):
        interp.exec("n = globals().get('n', 0) + 1")
        interp.exec("n = globals().get('n', 0) + 10")
        with pytest.raises(ExecutionFailed, match="SyntaxError"):
            interp.exec("n = ")
        interp.exec("n = globals().get('n', 0) + 10")
    assert value(interp, "n") == 63


@all_kinds
def test_audit_hooks_see_a_text_each_time(interp: Interpreter) -> None:
    interp.exec("""if True:
        import sys
        seen, refused = [], []
        def hook(event, args):
            if event == "compile" and args[0] in (b"pass # 1", "pass # 1"):
                seen.append(args[1])
                if refused:
                    raise PermissionError("not this text")
        sys.addaudithook(hook)
    """)
    for _ in range(3):
        interp.exec("pass # 1")
    assert value(interp, "seen") == ["<string>"] * 3
    interp.exec("refused.append(True)")
    for _ in range(2):
        with pytest.raises(ExecutionFailed, match="not this text"):
            interp.exec("pass # 1")


@all_kinds
def test_interpreters_do_not_share_state(interp: Interpreter) -> None:
    interp.exec("import sys; sys.mine = 1")
    with create() as other, pytest.raises(ExecutionFailed, match="AttributeError"):
        other.exec("import sys; sys.mine")


@all_kinds
@pytest.mark.parametrize(
    ("code", "name", "msg"),
    [
        ("1 / 0", "ZeroDivisionError", "division by zero"),
        ("raise ValueError", "ValueError", ""),
        ("raise ValueError('\\udc80 \\0 \\u20ac')", "ValueError", "\udc80 \0 \u20ac"),
        ("x +", "SyntaxError", "invalid syntax"),
        ("raise SystemExit(3)", "SystemExit", "3"),
        ("import sys; sys.exit()", "SystemExit", ""),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
        ("def f(): f()\nf()", "RecursionError", "maximum recursion depth exceeded"),
        ("raise ExceptionGroup('all', [OSError(1, 'a')])", "ExceptionGroup", "all (1 sub-"),
        ("import no_such_module", "ModuleNotFoundError", "No module named 'no_such_module'"),
    ],
)
def test_an_exception(interp: Interpreter, code: str, name: str, msg: str) -> None:
    with pytest.raises(ExecutionFailed) as caught:
        interp.exec(code)
    info = caught.value.excinfo
    assert (info.type.__name__, info.type.__qualname__) == (name, name)
    assert info.type.__module__ == "builtins"
    assert info.msg.startswith(msg)
    assert info.formatted == f"{name}: {info.msg}"
    assert name in info.errdisplay
    assert str(caught.value).startswith(info.formatted)
    assert info.errdisplay in str(caught.value)
    interp.exec("1")


def test_a_traceback(interp: Interpreter) -> None:
    with pytest.raises(ExecutionFailed) as caught:
        interp.exec("def inner():\n    raise OSError('gone')\ninner()")
    lines = caught.value.excinfo.errdisplay.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert any("line 2, in inner" in line for line in lines)
    assert lines[-1] == "OSError: gone"


def test_an_exception_of_a_class_that_the_code_made(interp: Interpreter) -> None:
    with pytest.raises(ExecutionFailed) as caught:
        interp.exec("class A:\n    class E(Exception): pass\nraise A.E('x')")
    kind = caught.value.excinfo.type
    assert (kind.__module__, kind.__qualname__, kind.__name__) == ("__main__", "A.E", "E")


@pytest.mark.parametrize(
    "body",
    [
        "def __str__(self): 1 / 0",
        "def __str__(self): return 1",
        "def __str__(self): raise SystemExit",
        "def __str__(self): return str(self)",
    ],
)
def test_an_exception_that_cannot_say_what_it_is(interp: Interpreter, body: str) -> None:
    with pytest.raises(ExecutionFailed) as caught:
        interp.exec(f"class E(Exception):\n    {body}\nraise E")
    assert caught.value.excinfo.msg == "<exception str() failed>"
    assert caught.value.excinfo.type.__name__ == "E"


def test_an_exception_of_an_interpreter_in_an_interpreter(interp: Interpreter) -> None:
    with pytest.raises(ExecutionFailed, match="ZeroDivisionError: division by zero"):
        interp.exec("import subinterpreters\nsubinterpreters.create().exec('1 / 0')")


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        (None, TypeError, "code must be str, a code object or a function, got NoneType"),
        (b"1", TypeError, "code must be str, a code object or a function, got bytes"),
        (len, TypeError, "got builtin_function_or_method"),
        (lambda n: 1, TypeError, "has parameters: use call"),
        (lambda *, n=1: 1, TypeError, "has parameters: use call"),
        (lambda *n: 1, TypeError, "has parameters: use call"),
        (closure(1), TypeError, "is a closure: use call"),
        ("1\0", ValueError, "null bytes"),
        ("'\udc80'", ValueError, "surrogates not allowed"),
    ],
)
def test_what_is_no_code(
    interp: Interpreter, code: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        interp.exec(code)


def test_code_is_given_by_position(interp: Interpreter) -> None:
    for arguments in [(), ("1", "2")]:
        with pytest.raises(TypeError):
            interp.exec(*arguments)
    with pytest.raises(TypeError):
        interp.exec(code="1")  # type: ignore[call-arg]


@all_kinds
def test_one_run_at_a_time(interp: Interpreter) -> None:
    with running(interp):
        assert interp.is_running()
        for forbidden in [lambda: interp.exec("1"), lambda: interp.prepare_main(x=1)]:
            with pytest.raises(InterpreterError, match=f"{interp.id} is already running"):
                forbidden()
    assert not interp.is_running()
    interp.exec("1")


def test_main_is_running() -> None:
    assert get_main().is_running()
    with pytest.raises(InterpreterError, match="0 is already running"):
        get_main().exec("1")


@all_kinds
def test_from_any_thread(interp: Interpreter) -> None:
    for number in range(5):
        start(interp.exec, f"x = {number}").result(WAIT)
    assert value(interp, "x") == 4


def test_own_interpreters_run_in_parallel() -> None:
    """Two that meet while neither gives up its GIL: with a common one, they never would."""
    spin = """
        import sys, time
        sys.setswitchinterval(100)
        end = time.monotonic() + 20
        for number in range(2):
            tell.send(number)
            while wait.recv_nowait(None) is None:
                assert time.monotonic() < end
    """
    with create() as a, create() as b:
        to_b, from_a = create_channel()
        to_a, from_b = create_channel()
        a.prepare_main(tell=from_a, wait=to_a)
        b.prepare_main(tell=from_b, wait=to_b)
        for run in [start(each.exec, textwrap.dedent(spin)) for each in (a, b)]:
            run.result(WAIT)


# ---- prepare_main --------------------------------------------------------------------------


@all_kinds
@pytest.mark.parametrize(
    "obj", [None, True, 0, -(2**70), 1.5, "", "\udc80\U0001f40d", b"\0", (), (1, ("a", b"b"))]
)
def test_binding_a_value(interp: Interpreter, obj: Any) -> None:
    interp.prepare_main(x=obj)
    assert value(interp, "(type(x).__name__, x)") == (type(obj).__name__, obj)


@all_kinds
def test_binding_channel_ends(interp: Interpreter) -> None:
    recv, send = create_channel(3)
    interp.prepare_main(ends=(recv, send), recv=recv)
    text = f"(<RecvChannel of channel {recv.id}>, <SendChannel of channel {recv.id}>)"
    assert value(interp, "(repr(ends), recv == ends[0], recv.capacity)") == (text, True, 3)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (({"x": 1, "y": 2},), {}),
        (([("x", 1), ("y", 2)],), {}),
        ((ChainMap({"x": 1}, {"y": 2}),), {}),
        ((), {"x": 1, "y": 2}),
        (({"x": 0, "y": 2},), {"x": 1}),
    ],
    ids=["a dict", "pairs", "a mapping", "keywords", "both"],
)
def test_names(interp: Interpreter, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    interp.prepare_main(*args, **kwargs)
    assert value(interp, "(x, y)") == (1, 2)


@pytest.mark.parametrize("args", [(), (None,), ({},)])
def test_no_names(interp: Interpreter, args: tuple[Any, ...]) -> None:
    interp.prepare_main(*args)


@pytest.mark.parametrize("name", ["", "not a name", "\udc80", "\0", "ns", "self"])
def test_any_str_is_a_name(interp: Interpreter, name: str) -> None:
    interp.prepare_main({name: 1})
    interp.prepare_main(**{name: 2})
    interp.prepare_main(names=(name,))
    assert value(interp, "globals()[names[0]]") == 2


@pytest.mark.parametrize(
    ("ns", "error", "message"),
    [
        ([("a", 1), 2], TypeError, "element #1"),
        ([("a", 1), ("x", 2, 3)], ValueError, "element #1 has length 3"),
        (1, TypeError, "ns must be a dict or None, got int"),
        ({1: 1}, TypeError, "names to bind must be str, got int"),
        ({None: 1}, TypeError, "names to bind must be str, got NoneType"),
        ({"a": 1, "x": Lock()}, NotShareableError, "^_thread.lock object cannot be sent"),
        ({"a": 1, "x": [{1: Lock()}]}, NotShareableError, "^_thread.lock object cannot be sent"),
    ],
)
def test_a_bad_namespace_binds_nothing(
    interp: Interpreter, ns: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        interp.prepare_main(ns)
    assert value(interp, "'a' in globals()") is False


@pytest.mark.parametrize("cls", [Exception, InterpreterError, ValueError])
def test_what_a_call_raises(interp: Interpreter, cls: type[Exception]) -> None:
    module = cls.__module__
    with pytest.raises(cls) as caught:
        interp.call(exec, f"import {module}; raise {module}.{cls.__name__}('text')")
    assert isinstance(caught.value, ExecutionFailed)
    assert caught.value.excinfo.type.__name__ == cls.__name__
    assert caught.value.args == ("text",)
    assert isinstance(caught.value.__cause__, ExecutionFailed)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), again.args) == (cls, ("text",))


# ---- close ---------------------------------------------------------------------------------


@pytest.mark.parametrize("isolation", KINDS)
def test_a_closed_interpreter(isolation: Any) -> None:
    interp = create(isolation=isolation, name="it")
    assert interp in list_all()
    for _ in range(2):
        interp.close()
    assert interp not in list_all()
    assert (interp.name, interp.isolation) == ("it", isolation)
    for forbidden in [
        lambda: interp.exec("1"),
        lambda: interp.prepare_main(x=1),
        interp.is_running,
    ]:
        with pytest.raises(InterpreterClosedError, match=f"^interpreter {interp.id} is closed$"):
            forbidden()
    assert issubclass(InterpreterClosedError, InterpreterNotFoundError)


def test_with() -> None:
    with pytest.raises(KeyError), create() as interp:
        raise KeyError
    with pytest.raises(InterpreterClosedError):
        interp.exec("1")


@all_kinds
@pytest.mark.parametrize(
    ("timeout", "error"), [(0, InterpreterError), (0.01, TimeoutError), (0.0, InterpreterError)]
)
def test_closing_while_it_runs(interp: Interpreter, timeout: float, error: type[Exception]) -> None:
    with running(interp):
        with pytest.raises(error):
            interp.close(timeout=timeout)
        assert interp in list_all()
    interp.close(timeout=0)


@all_kinds
def test_closing_waits_for_the_run(interp: Interpreter) -> None:
    with running(interp):
        with pytest.raises(InterpreterError, match="is already running"):
            interp.close()
        closing = start(interp.close, None)
    closing.result(WAIT)
    assert interp not in list_all()


@pytest.mark.parametrize(
    ("timeout", "error"),
    [(-1, ValueError), (float("nan"), ValueError), ("1", TypeError), (10**400, OverflowError)],
)
def test_bad_timeout(interp: Interpreter, timeout: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        interp.close(timeout)
    interp.exec("1")


def test_main_is_not_closed() -> None:
    with pytest.raises(InterpreterError, match="0 was not made by create"):
        get_main().close()


def test_nobody_closes_itself(interp: Interpreter) -> None:
    with pytest.raises(ExecutionFailed, match="InterpreterError: an interpreter cannot close its"):
        interp.exec("import subinterpreters; subinterpreters.get_current().close()")
    with pytest.raises(ExecutionFailed, match="InterpreterError: interpreter 0 was not made by"):
        interp.exec("subinterpreters.get_main().close()")


@all_kinds
def test_closing_on_another_thread(interp: Interpreter) -> None:
    interp.exec("import threading; x = threading.local(); x.y = 1")
    start(interp.close).result(WAIT)
    assert interp not in list_all()


def test_closing_on_many_threads(interp: Interpreter) -> None:
    for closing in [start(interp.close) for _ in range(8)]:
        closing.result(WAIT)
    assert interp not in list_all()


@pytest.mark.parametrize("isolation", KINDS)
def test_it_goes_with_its_last_object(isolation: Any) -> None:
    interp = create(isolation=isolation)
    number = interp.id
    others = [each for each in list_all() if each == interp]
    del interp
    assert number in [each.id for each in list_all()]
    del others
    assert number not in [each.id for each in list_all()]


@all_kinds
def test_atexit(interp: Interpreter) -> None:
    talk = Talk(interp)
    interp.exec("import atexit; atexit.register(tell.send, 'bye')")
    interp.close()
    assert talk.hear() == "bye"
    with pytest.raises(ChannelClosedError):
        talk.told.recv(timeout=WAIT)


# ---- threads in an interpreter -------------------------------------------------------------


@all_kinds
def test_closing_joins_threads(interp: Interpreter) -> None:
    talk = Talk(interp)
    interp.exec(
        "import threading\n"
        "for _ in range(3): threading.Thread(target=lambda: tell.send(wait.recv())).start()"
    )
    closing = start(interp.close)
    for number in range(3):
        talk.go.send(number)
    closing.result(WAIT)
    assert sorted(talk.told) == [0, 1, 2]


@all_kinds
@pytest.mark.parametrize("timeout", [0, 0.01])
def test_a_thread_that_does_not_end(interp: Interpreter, timeout: float) -> None:
    talk = Talk(interp)
    interp.exec("from threading import Thread; Thread(target=wait.recv, name='Ümläut').start()")
    with pytest.raises(TimeoutError, match=f"{interp.id} still has threads running: Ümläut$"):
        interp.close(timeout)
    assert interp in list_all()
    assert value(interp, "1 + 1") == 2
    interp.exec("another = Thread(target=tell.send, args=(1,)); another.start(); another.join()")
    assert talk.hear() == 1
    talk.go.send(None)
    interp.close(WAIT)
    assert interp not in list_all()


@pytest.mark.leaves_open  # what the thread has, when it is stopped
@all_kinds
def test_a_daemon_thread_keeps_it_open_or_is_stopped(interp: Interpreter) -> None:
    talk = Talk(interp)
    try:
        interp.exec(
            "import threading\n"
            "threading.Thread(target=wait.recv, name='demon', daemon=True).start()"
        )
    except ExecutionFailed as failed:
        assert failed.excinfo.msg == "daemon threads are disabled in this (sub)interpreter"
        return
    if interp.isolation != "private":
        with pytest.raises(TimeoutError, match="demon"):
            interp.close(0.01)
        talk.go.send(None)
    interp.close(WAIT)


@all_kinds
def test_a_thread_that_threading_does_not_know(interp: Interpreter) -> None:
    talk = Talk(interp)
    try:
        interp.exec("import _thread; _thread.start_new_thread(wait.recv, ())")
    except ExecutionFailed as failed:
        assert failed.excinfo.msg == "daemon threads are disabled in this (sub)interpreter"
        return
    with pytest.raises(TimeoutError, match="threads running: not known by name$"):
        interp.close(0.01)
    talk.go.send(None)
    interp.close(WAIT)


@all_kinds
def test_idle_workers_do_not_keep_it_open(interp: Interpreter) -> None:
    # CPython 3.12 aborts at exit if an interpreter is the first to call this with a keyword
    with pytest.raises(queue.Empty):
        queue.SimpleQueue().get(block=False)
    interp.exec(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(3)\n"
        "x = list(pool.map(abs, range(-9, 0)))"
    )
    assert value(interp, "tuple(x)") == tuple(range(9, 0, -1))
    interp.close(WAIT)
    assert interp not in list_all()


# ---- from inside ---------------------------------------------------------------------------


def test_in_main() -> None:
    assert get_current() == get_main() == list_all()[0]
    assert get_main().isolation == "main"
    assert get_main().name == "main"


@all_kinds
def test_in_an_interpreter(interp: Interpreter) -> None:
    interp.exec("from subinterpreters import *")
    assert value(interp, "get_current().id") == interp.id
    assert value(interp, "(get_main().id, get_main().isolation)") == (0, "main")
    assert value(interp, "tuple(i.id for i in list_all())") == tuple(i.id for i in list_all())
    assert value(interp, "get_current().isolation") == interp.isolation
    assert value(interp, "get_current().is_running()") is True


def test_an_interpreter_cannot_enter_itself_or_main(interp: Interpreter) -> None:
    interp.exec("from subinterpreters import *")
    for each in "get_current", "get_main":
        with pytest.raises(ExecutionFailed, match="InterpreterError: .* is already running"):
            interp.exec(f"{each}().exec('1')")


@pytest.mark.parametrize("outer", KINDS)
@pytest.mark.parametrize("inner", KINDS)
def test_an_interpreter_makes_one(outer: Any, inner: Any) -> None:
    with create(isolation=outer) as interp:
        talk = Talk(interp)
        interp.exec(
            "import subinterpreters\n"
            f"inner = subinterpreters.create(isolation='{inner}')\n"
            "inner.prepare_main(tell=tell)\n"
            "inner.exec('import atexit; atexit.register(tell.send, 2); tell.send(1)')"
        )
        assert talk.hear() == 1
        number = value(interp, "inner.id")
        assert number in [each.id for each in list_all()]
    assert talk.hear() == 2
    assert number not in [each.id for each in list_all()]


def test_another_interpreter_runs_and_closes_one(interp: Interpreter) -> None:
    with create() as other:
        interp.exec(
            "import subinterpreters\n"
            f"[it] = [i for i in subinterpreters.list_all() if i.id == {other.id}]\n"
            "it.exec('x = 1')"
        )
        assert value(other, "x") == 1
        interp.exec("it.close()")
        with pytest.raises(InterpreterClosedError):
            other.exec("1")


@all_kinds
def test_sys_path(interp: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_here.py").write_text("x = 42")
    with pytest.raises(ExecutionFailed):
        interp.exec("import only_here")
    monkeypatch.syspath_prepend(str(tmp_path))
    with create(isolation=interp.isolation) as later:  # type: ignore[arg-type]
        later.exec("import only_here")
        assert value(later, "only_here.x") == 42


def test_main_waits_for_several(interp: Interpreter) -> None:
    """Many at once, each heard through its own channel."""
    with create() as other:
        talks = [Talk(each) for each in (interp, other)]
        runs = [start(each.exec, "tell.send(wait.recv())") for each in (interp, other)]
        for number, talk in enumerate(talks):
            talk.go.send(number)
        heard = {}
        pending = list(talks)
        while pending:
            index, obj = select(*(talk.told for talk in pending), timeout=WAIT)
            heard[talks.index(pending.pop(index))] = obj
        assert heard == {0: 0, 1: 1}
        for run in runs:
            run.result(WAIT)


def test_all_names_are_there() -> None:
    for name in subinterpreters.__all__:
        # this one is threading's
        assert getattr(subinterpreters, name).__doc__ or name == "BrokenBarrierError"
