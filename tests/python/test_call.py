# SPDX-License-Identifier: MIT
"""Calls in interpreters: what is called, what comes back, and what is raised."""

import builtins
import gc
import math
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures import wait as wait_for
from contextlib import suppress
from typing import Any

import pytest
from support import KINDS, WAIT, Lent, Reduced, Unsendable, not_under_asan, run_script, start
from test_leaks import MEASURE

import subinterpreters as si
from subinterpreters import (
    ExecutionFailed,
    Interpreter,
    InterpreterClosedError,
    InterpreterError,
    NotShareableError,
    create,
    create_channel,
    get_current,
    get_main,
)

# ---- for both sides ------------------------------------------------------------------------------

log: list[Any] = []  # of each interpreter its own


def plus(a: Any, b: Any = 1, *args: Any, c: Any = 0, **kwargs: Any) -> Any:
    return a + b + sum(args) + c + sum(kwargs.values())


def where() -> int:
    return get_current().id


def note(obj: Any) -> int:
    log.append(obj)
    return len(log)


def noted() -> list[Any]:
    return log


def fail(error: Any, *args: Any) -> None:
    raise error(*args)


def fail_with(error: BaseException) -> None:
    raise error


def give(make: Callable[..., Any], *args: Any) -> Any:
    return make(*args)


def sleep_until_told(wait: Any, tell: Any) -> str:
    tell.send(get_current().id)
    return str(wait.recv())


def with_timeout(timeout: float) -> float:
    return timeout


def with_any(**kwargs: Any) -> dict[str, Any]:
    return kwargs


def positional(timeout: float, /) -> float:
    return timeout


def nothing() -> None:
    pass


class Counter:
    def __init__(self, n: int = 0) -> None:
        self.n = n

    def more(self, by: int = 1) -> int:
        self.n += by
        return self.n

    @classmethod
    def from_text(cls, text: str) -> "Counter":
        return cls(int(text))

    @staticmethod
    def double(n: int) -> int:
        return 2 * n

    def __call__(self, *args: Any) -> Any:
        return self.n, args


class Told(Exception):
    pass


class Odd(Exception):
    """One whose args are not those of its __init__."""

    made = 0

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        Odd.made += 1


class Slotted(Exception):
    __slots__ = ("x",)


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Strict(type):
    def __new__(mcls, name: str, bases: Any, namespace: Any) -> Any:
        if len(bases) > 1:
            raise TypeError("one base")
        return super().__new__(mcls, name, bases, namespace)


class Alone(Exception, metaclass=Strict):
    pass


class Quit(BaseException):
    pass


class Reducing(Exception):
    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code

    def __reduce__(self) -> Any:
        return _reducing, (self.code,)


def _reducing(code: int) -> Reducing:
    return Reducing(code=code)


def raise_odd() -> None:
    raise Odd(5, "five")


def raise_slotted() -> None:
    error = Slotted("slots")
    error.x = 1
    raise error


def raise_reducing() -> None:
    raise Reducing(code=5)


def raise_noted() -> None:
    error = Told("with notes", 1)
    error.add_note("a note")
    error.extra = [1, 2]  # type: ignore[attr-defined]
    raise error


def raise_chain() -> None:
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError as error:
        raise Told("second") from error


def raise_group() -> None:
    raise ExceptionGroup(
        "some", [ValueError(1), ExceptionGroup("more", [Told("x"), OSError(2, "y")])]
    )


def raise_local() -> None:
    class Hidden(Exception):
        pass

    raise Hidden("nobody knows it")


def raise_with_lock() -> None:
    raise Told(threading.Lock())


def raise_with_attribute() -> None:
    error = Told("text")
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    raise error


def raise_with_buffer() -> None:
    raise Told("data", memoryview(bytearray(b"x" * 100000)), Lent(bytearray(b"lent")))


def raise_os_error() -> None:
    with open("/does/not/exist"):
        pass


def raise_attribute_error() -> None:
    nothing.no_such_name  # type: ignore[attr-defined]  # noqa: B018


def raise_key_error() -> None:
    {}["key"]


def raise_decode_error() -> None:
    b"\xff".decode()


def raise_syntax_error() -> None:
    compile("1 +", "file.py", "exec")


def raise_import_error() -> None:
    import no_such_module_at_all  # type: ignore[import-not-found]  # noqa: F401


def recurse(n: int = 0) -> int:
    return recurse(n + 1)


def call_back(outer: Interpreter) -> int:
    return outer.call(where)


def call_on(inner: Interpreter, function: Any, *args: Any) -> Any:
    return inner.call(function, *args)


class Dies:
    """An object whose end raises."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __del__(self) -> None:
        raise self.error("in __del__")


def raise_in(error: type[BaseException]) -> None:
    raise error("as told")


# ---- fixtures ------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=KINDS)
def interp(request: pytest.FixtureRequest) -> Iterator[Interpreter]:
    with create(isolation=request.param) as each:
        yield each


@pytest.fixture(params=KINDS)
def fresh(request: pytest.FixtureRequest) -> Iterator[Interpreter]:
    with create(isolation=request.param) as each:
        yield each


def is_usable(interp: Interpreter) -> bool:
    return interp.call(where) == interp.id and not interp.is_running()


def raised_by(interp: Interpreter, function: Any, *args: Any, **kwargs: Any) -> BaseException:
    try:
        interp.call(function, *args, **kwargs)
    except BaseException as error:  # noqa: BLE001
        return error
    raise AssertionError("nothing was raised")


# ---- what is called ------------------------------------------------------------------------------


def test_functions_of_modules(interp: Interpreter) -> None:
    assert interp.call(where) == interp.id
    assert interp.call(plus, 1) == 2
    assert interp.call(plus, 1, 2, 3, c=4, d=5) == 15
    assert interp.call(math.hypot, 3.0, 4.0) == 5.0
    assert interp.call(os.path.join, "a", "b") == "a/b"
    assert interp.call(nothing) is None
    assert interp.call(note, "kept") < interp.call(note, "there")  # one module, which stays
    assert interp.call(noted)[-2:] == ["kept", "there"] and log == []


def test_functions_by_code(interp: Interpreter) -> None:
    def defaults(a: int, b: str = "b", *, c: Any = None, d: float = 0.5) -> Any:
        return a, b, c, d

    assert interp.call(lambda n: n * 2, 21) == 42
    assert interp.call(defaults, 1) == (1, "b", None, 0.5)
    assert interp.call(defaults, 1, "x", c=b"c", d=1) == (1, "x", b"c", 1)
    assert interp.call(lambda: [n * n for n in range(3)]) == [0, 1, 4]
    interp.exec("in_main = 5")
    assert interp.call(lambda: in_main) == 5  # type: ignore[name-defined]  # noqa: F821
    assert interp.call(eval("lambda *a, **k: (a, k)"), 1, x=2) == ((1,), {"x": 2})


def test_methods_classes_and_objects(interp: Interpreter) -> None:
    counter = Counter(5)
    assert interp.call(counter.more, by=2) == 7 and counter.n == 5
    assert interp.call(counter, 1) == (5, (1,))
    assert interp.call(Counter, 3).n == 3
    assert interp.call(Counter.from_text, "4").n == 4
    assert interp.call(Counter.double, 4) == 8
    assert interp.call("a-b".split, "-") == ["a", "b"]
    assert interp.call(str.upper, "a") == "A"
    assert interp.call(dict, [("a", 1)], b=2) == {"a": 1, "b": 2}


def test_builtins(interp: Interpreter) -> None:
    interp.exec("answer = 42")
    assert interp.call(len, [1, 2]) == 2
    assert interp.call(eval, "answer + 1") == 43
    assert interp.call(exec, "answer = 7; import sys") is None
    assert interp.call(eval, "answer") == 7
    assert "answer" in interp.call(dir)
    assert "upper" in interp.call(dir, "text")
    assert interp.call(eval, "a", {"a": 1}) == 1
    assert interp.call(getattr, 1, "real") == 1
    for function in globals, locals, vars:
        try:
            got = interp.call(function)
        except NotShareableError:
            continue  # something in it
        assert got["answer"] == 7
    with pytest.raises(TypeError):
        interp.call(exec)
    with pytest.raises(SyntaxError):
        interp.call(eval, "1 +")


def test_callables_that_cannot_be_sent(interp: Interpreter) -> None:
    lock = threading.Lock()
    for callable in lock.acquire, lambda: lock, (each for each in "x").__next__:
        with pytest.raises(NotShareableError):
            interp.call(callable)
    for callable in None, 5, "text":
        with pytest.raises(TypeError, match="callable"):
            interp.call(callable)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="nothing to call"):
        interp.call()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        interp.call(nothing, 1)
    assert is_usable(interp)


MAIN = """
import sys
import subinterpreters as si

factor = 2

class Error(Exception):
    def __init__(self, a, b):
        super().__init__(a + b)

class Point:
    def __init__(self, x):
        self.x = x
    def scaled(self):
        return Point(self.x * factor)

def scale(n):
    return helper(n) * factor

def helper(n):
    return n + 1

def closure(n):
    return lambda m: (n, m, factor)

def fail():
    raise Error("a", "b")

interp = si.create(isolation=sys.argv[1])
assert interp.call(scale, 1) == 4
factor = 3
assert interp.call(scale, 1) == 6
assert interp.call(closure(1), 2) == (1, 2, 3)
assert interp.call(Point(7).scaled).x == 21
assert type(interp.call(Point, 7)) is Point
for _ in range(3):
    try:
        interp.call(fail)
    except Error as error:
        assert isinstance(error, si.ExecutionFailed) and str(error) == "ab", error
    else:
        raise AssertionError
interp.close()
print("done")
"""


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_defined_in_main(kind: str) -> None:
    pytest.importorskip("cloudpickle")
    assert run_script(MAIN, kind).stdout == "done\n"


# ---- exec ----------------------------------------------------------------------------------------


def test_exec_of_code_and_functions(interp: Interpreter) -> None:
    def script() -> None:
        global from_function
        from_function = 5

    interp.exec(compile("from_code = 1; import sys", "<test>", "exec"))
    interp.exec(script)
    assert interp.call(eval, "from_code + from_function") == 6
    assert "from_function" not in globals()
    with pytest.raises(ExecutionFailed, match="<test>") as info:
        interp.exec(compile("1 / 0", "<test>", "exec"))
    assert info.value.excinfo.type.__name__ == "ZeroDivisionError"
    n = 1
    for code, why in (
        (lambda: n, "closure"),
        (plus, "parameters"),
        (len, "got builtin"),
        (5, "got int"),
    ):
        with pytest.raises(TypeError, match=why):
            interp.exec(code)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="null"):
        interp.exec("x\0")
    assert is_usable(interp)


# ---- exceptions ----------------------------------------------------------------------------------

RAISERS: list[tuple[Any, Any, Any]] = [
    (raise_odd, Odd, "5: five"),
    (raise_slotted, Slotted, "slots"),
    (raise_reducing, Reducing, "code 5"),
    (raise_noted, Told, "('with notes', 1)"),
    (raise_chain, Told, "second"),
    (raise_group, ExceptionGroup, "some (2 sub-exceptions)"),
    (raise_os_error, FileNotFoundError, "[Errno 2] No such file or directory: '/does/not/exist'"),
    (raise_attribute_error, AttributeError, "'function' object has no attribute 'no_such_name'"),
    (raise_key_error, KeyError, "'key'"),
    (raise_decode_error, UnicodeDecodeError, None),
    (raise_syntax_error, SyntaxError, "invalid syntax (file.py, line 1)"),
    (raise_import_error, ModuleNotFoundError, "No module named 'no_such_module_at_all'"),
]


@pytest.mark.parametrize(
    ("function", "type", "text"), RAISERS, ids=lambda each: getattr(each, "__name__", "")
)
def test_original_type_and_execution_failed(
    interp: Interpreter, function: Any, type: Any, text: str | None
) -> None:
    error = raised_by(interp, function)
    assert isinstance(error, type), repr(error)
    assert builtins.type(error).__name__ == type.__name__
    if text is not None:
        assert str(error) == text
    cause = error.__cause__
    assert builtins.type(cause) is ExecutionFailed
    assert f"in {function.__name__}" in str(cause) and "Traceback" in str(cause)
    if type is not Reducing:  # a function of its own makes it
        assert isinstance(error, ExecutionFailed)
        assert error.excinfo.type.__name__ == type.__name__
        assert function.__name__ in error.excinfo.errdisplay
    assert is_usable(interp)


def test_what_exceptions_keep(interp: Interpreter) -> None:
    error: Any = raised_by(interp, raise_noted)
    assert (
        error.__notes__ == ["a note"] and error.extra == [1, 2] and error.args == ("with notes", 1)
    )
    made = Odd.made
    error = raised_by(interp, raise_odd)
    assert error.code == 5 and Odd.made == made
    assert "ZeroDivisionError" in str(raised_by(interp, raise_chain).__cause__)
    error = raised_by(interp, raise_os_error)
    assert (error.errno, error.filename) == (2, "/does/not/exist")
    error = raised_by(interp, raise_import_error)
    assert error.name == "no_such_module_at_all"
    error = raised_by(interp, raise_syntax_error)
    assert (error.filename, error.lineno) == ("file.py", 1)
    error = raised_by(interp, raise_decode_error)
    assert (error.object, error.start, error.reason) == (b"\xff", 0, "invalid start byte")
    error = raised_by(interp, raise_reducing)
    assert error.code == 5
    error = raised_by(interp, fail, StopIteration, 7)
    assert error.value == 7


def test_groups(interp: Interpreter) -> None:
    error: Any = raised_by(interp, raise_group)
    found, rest = error.split(Told)
    assert str(found.exceptions[0].exceptions[0]) == "x"
    assert {type(each) for each in rest.exceptions} == {ValueError, ExceptionGroup}
    error = raised_by(interp, fail, BaseExceptionGroup, "all", [Quit(1)])
    assert type(error) is BaseExceptionGroup  # no subclass of Exception may have such
    assert isinstance(error.exceptions[0], Quit) and type(error.__cause__) is ExecutionFailed


@pytest.mark.parametrize("type", [Quit, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_base_exceptions(interp: Interpreter, type: Any) -> None:
    error: Any = raised_by(interp, fail, type, 3)
    assert isinstance(error, type) and isinstance(error, ExecutionFailed) and error.args == (3,)
    if type is SystemExit:
        assert error.code == 3
    assert is_usable(interp)


def test_memory_errors(interp: Interpreter) -> None:
    for function, args in (
        (bytearray, (1 << 62,)),
        (fail, (MemoryError,)),
        (give, (bytearray, 1 << 62)),
    ):
        error = raised_by(interp, function, *args)
        assert isinstance(error, MemoryError) and isinstance(error, ExecutionFailed)
    with pytest.raises(ExecutionFailed, match="MemoryError"):
        interp.exec("bytearray(1 << 62)")
    assert is_usable(interp)


def test_deep_recursion(interp: Interpreter) -> None:
    for _ in range(3):
        error = raised_by(interp, recurse)
        assert isinstance(error, RecursionError) and isinstance(error, ExecutionFailed)
        assert is_usable(interp)
    deep: list[Any] = []
    for _ in range(200_000):
        deep = [deep]
    with pytest.raises((RecursionError, NotShareableError)):
        interp.call(len, deep)
    while deep:
        deep = deep[0]
    assert is_usable(interp)


def test_exceptions_that_cannot_be_sent(interp: Interpreter) -> None:
    for function in raise_with_lock, raise_with_attribute:
        error: Any = raised_by(interp, function)
        assert type(error) is ExecutionFailed and error.excinfo.type.__name__ == "Told"
    error = raised_by(interp, raise_local)
    assert error.excinfo.type.__name__ == "Hidden" and "nobody knows it" in str(error)
    error = raised_by(interp, fail, Mute, "text")
    assert isinstance(error, Mute) and error.excinfo.msg == "<exception str() failed>"
    error = raised_by(interp, fail, Alone, "text")  # its metaclass does not allow another base
    assert type(error) is Alone and type(error.__cause__) is ExecutionFailed
    error = raised_by(interp, fail, ValueError, "lone \udc80 surrogate")
    assert isinstance(error, ValueError) and error.args == ("lone \udc80 surrogate",)
    assert is_usable(interp)


def test_exceptions_with_buffers(interp: Interpreter) -> None:
    error: Any = raised_by(interp, raise_with_buffer)
    assert isinstance(error, Told)
    _, memory, lent = error.args
    assert bytes(memory) == b"x" * 100000 and bytes(lent.data) == b"lent"
    assert is_usable(interp)
    assert memory[5] == ord("x")


def test_exceptions_sent_on(interp: Interpreter) -> None:
    recv, send = create_channel()
    for function in raise_noted, raise_os_error, raise_key_error:
        error: Any = raised_by(interp, function)
        assert isinstance(error, ExecutionFailed)
        send.send([error])
        (again,) = recv.recv()
        assert type(again) is type(error).__mro__[1] and again.args == error.args
        assert "excinfo" not in vars(again)
        back = raised_by(interp, fail_with, error)
        assert str(back) == str(error) and isinstance(back, (type(again), ExecutionFailed))


def test_exceptions_through_several(fresh: Interpreter) -> None:
    with create() as inner:
        error: Any = raised_by(fresh, call_on, inner, raise_noted)
        assert isinstance(error, Told) and isinstance(error, ExecutionFailed)
        assert error.args == ("with notes", 1) and "raise_noted" in str(error.__cause__)


def test_results_that_cannot_be_sent(interp: Interpreter) -> None:
    error = raised_by(interp, threading.Lock)
    assert isinstance(error, NotShareableError) and isinstance(error, ExecutionFailed)
    error = raised_by(interp, Unsendable, OSError)
    assert isinstance(error, NotShareableError) and "as told" in str(error)
    assert is_usable(interp)


STAGES = [
    "pickle of argument",
    "unpickle of argument",
    "in the call",
    "pickle of result",
    "unpickle of result",
    "__del__",
]


@pytest.mark.parametrize("error", [Told, SystemExit, MemoryError, KeyboardInterrupt])
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_errors_at_every_stage(interp: Interpreter, stage: str, error: Any) -> None:
    def call() -> Any:
        match stage:
            case "pickle of argument":
                return interp.call(len, [Unsendable(error)])
            case "unpickle of argument":
                return interp.call(len, [Reduced(raise_in, error)])
            case "in the call":
                return interp.call(raise_in, error)
            case "pickle of result":
                return interp.call(Unsendable, error)
            case "unpickle of result":
                return interp.call(Reduced, raise_in, error)
            case _:
                return interp.call(lambda make, error: make(error) and None, Dies, error)

    for _ in range(2):
        if stage == "__del__":
            assert call() is None
        else:
            with pytest.raises((error, NotShareableError)) as info:
                call()
            if isinstance(info.value, NotShareableError):
                assert stage.startswith("pickle") and "as told" in str(info.value)
        gc.collect()
        assert is_usable(interp)


# ---- where it cannot be called -------------------------------------------------------------------


def test_closed_and_running_and_others(fresh: Interpreter) -> None:
    wait, go = create_channel()
    told, tell = create_channel()
    run = start(fresh.call, sleep_until_told, wait, tell)
    assert told.recv(WAIT) == fresh.id
    for attempt in (
        lambda: fresh.call(where),
        lambda: fresh.call(where, timeout=5),
        lambda: fresh.exec("pass", timeout=5),
    ):
        with pytest.raises(InterpreterError, match="running"):
            attempt()
    go.send("done")
    assert run.result(WAIT) == "done"
    assert fresh.call(where) == fresh.id
    fresh.close()
    for method in fresh.call, fresh.submit:
        with pytest.raises(InterpreterClosedError):
            got = method(where)
            assert isinstance(got, Future)
            got.result(WAIT)
    with pytest.raises(InterpreterClosedError):
        fresh.call(nothing, timeout=1)
    for current in get_main(), get_current():
        with pytest.raises(InterpreterError):
            current.call(where)
        with pytest.raises(InterpreterError):
            current.call(nothing, timeout=1)


def call_itself() -> Any:
    return get_current().call(where)


def test_nested(fresh: Interpreter) -> None:
    with create() as inner:
        assert fresh.call(call_on, inner, where) == inner.id
        with pytest.raises(InterpreterError, match="running"):
            fresh.call(call_on, inner, call_back, fresh)  # it waits for itself
        with pytest.raises(InterpreterError):
            fresh.call(call_itself)
        with pytest.raises(InterpreterError):
            fresh.call(call_back, get_main())
        assert is_usable(fresh) and is_usable(inner)


def test_keyword_timeout(interp: Interpreter) -> None:
    assert interp.call(with_timeout, timeout=0.5) == 0.5
    assert interp.call(with_any, timeout="x", callable=1, self=2) == {
        "timeout": "x",
        "callable": 1,
        "self": 2,
    }
    assert interp.call(where, timeout=WAIT) == interp.id
    assert interp.call(where, timeout=None) == interp.id
    assert interp.call(where, timeout=math.inf) == interp.id
    assert interp.call(positional, 3, timeout=WAIT) == 3
    for bad, error in (-1, ValueError), (math.nan, ValueError), ("x", TypeError):
        with pytest.raises(error, match="timeout must"):
            interp.call(where, timeout=bad)
        with pytest.raises(error, match="timeout must"):
            interp.exec("pass", timeout=bad)  # type: ignore[arg-type]
    assert interp.call(len, [], timeout=WAIT) == 0
    assert is_usable(interp)


# ---- threads -------------------------------------------------------------------------------------


def test_call_in_thread(fresh: Interpreter, monkeypatch: pytest.MonkeyPatch) -> None:
    failures: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    thread = fresh.call_in_thread(note, "x")
    thread.join(WAIT)
    assert fresh.call(noted) == ["x"] and not failures
    thread = fresh.call_in_thread(raise_noted)
    thread.join(WAIT)
    assert failures[0].exc_type.__name__ == "Told" and failures[0].thread is thread
    thread = fresh.call_in_thread(note, threading.Lock())
    thread.join(WAIT)
    assert isinstance(failures[1].exc_value, NotShareableError)
    failures.clear()


def test_submit(fresh: Interpreter) -> None:
    futures = [fresh.submit(note, n) for n in range(500)]
    assert [each.result(WAIT) for each in futures] == list(range(1, 501))
    assert fresh.call(noted) == list(range(500))
    failed = fresh.submit(raise_noted)
    assert isinstance(failed.exception(WAIT), Told)
    assert isinstance(fresh.submit(note, threading.Lock()).exception(WAIT), NotShareableError)
    assert fresh.submit(with_timeout, timeout=3).result(WAIT) == 3
    assert fresh.submit(where).result(WAIT) == fresh.id


def test_submit_from_many_threads(fresh: Interpreter) -> None:
    def submit() -> int:
        return sum(fresh.submit(plus, n).result(WAIT) for n in range(50))

    runs = [start(submit) for _ in range(6)]
    assert {each.result(WAIT) for each in runs} == {sum(range(1, 51))}


def test_cancel_and_close(fresh: Interpreter) -> None:
    wait, go = create_channel()
    told, tell = create_channel()
    first = fresh.submit(sleep_until_told, wait, tell)
    told.recv(WAIT)
    second, third = fresh.submit(note, 2), fresh.submit(note, 3)
    assert second.cancel() and not first.cancel()
    with pytest.raises(TimeoutError, match="submitted"):
        fresh.close(timeout=0)
    with pytest.raises(TimeoutError):
        fresh.close(timeout=0.01)
    fourth = fresh.submit(noted)  # it stays open
    closing = start(fresh.close)
    go.send("done")
    closing.result(WAIT)
    assert first.result(0) == "done" and third.result(0) == 1 and fourth.result(0) == [3]
    with pytest.raises(CancelledError):
        second.result(0)
    with pytest.raises(InterpreterClosedError):
        fresh.submit(where).result(WAIT)
    fresh.close()
    fresh.close(timeout=math.inf)


def threads_of(interp: Interpreter) -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith(f"{interp.name}_")]


def test_submit_after_a_closing_that_failed(fresh: Interpreter) -> None:
    wait, go = create_channel()
    fresh.prepare_main(wait=wait)
    assert fresh.submit(where).result(WAIT) == fresh.id
    fresh.exec("import threading; t = threading.Thread(target=wait.recv); t.start()")
    with pytest.raises(TimeoutError, match="threads"):
        fresh.close(timeout=0.05)
    assert fresh.submit(where).result(WAIT) == fresh.id
    go.send(None)


def test_close_in_a_callback(fresh: Interpreter) -> None:
    wait, go = create_channel()
    _told, tell = create_channel()
    closed: Future[Any] = Future()

    def close(_: Any) -> None:
        try:
            closed.set_result(fresh.close())
        except BaseException as error:  # noqa: BLE001
            closed.set_exception(error)

    first = fresh.submit(sleep_until_told, wait, tell)
    first.add_done_callback(close)
    go.send(None)
    closed.result(WAIT)
    with pytest.raises(InterpreterClosedError):
        fresh.call(where)


def test_close_right_after_submit() -> None:
    """Every call is done, or refused, whoever comes first."""
    for kind in KINDS:
        for _ in range(20):
            interp = create(isolation=kind)
            ready = threading.Barrier(3)

            def submit(interp: Interpreter = interp, ready: Any = ready) -> str:
                ready.wait()
                try:
                    for _ in range(1000):
                        interp.submit(abs, -1).result(WAIT)
                except InterpreterClosedError:
                    return "refused"
                return "done"

            runs = [start(submit) for _ in range(2)]
            ready.wait()
            interp.submit(abs, -1).result(WAIT)
            interp.close()
            assert {each.result(WAIT) for each in runs} <= {"refused", "done"}
            assert not threads_of(interp)


def test_the_first_submit_when_it_is_closed() -> None:
    for _ in range(100):
        interp = create()
        ready = threading.Barrier(2)

        def submit(interp: Interpreter = interp, ready: Any = ready) -> None:
            ready.wait()
            with suppress(InterpreterClosedError):
                interp.submit(abs, -1).result(WAIT)

        run = start(submit)
        ready.wait()
        interp.close()
        run.result(WAIT)
        assert not threads_of(interp)


def test_closing_on_two_threads_after_submit() -> None:
    for _ in range(100):
        interp = create()
        for _ in range(20):
            last = interp.submit(abs, -1)
        runs = [start(interp.close, timeout=None) for _ in range(2)]
        for run in runs:
            run.result(WAIT)
        assert last.done()
        assert not threads_of(interp)


@pytest.mark.parametrize("call", ["submit", "call"])
def test_a_closed_interpreter_gets_no_thread(fresh: Interpreter, call: str) -> None:
    keywords: Any = {"timeout": WAIT} if call == "call" else {}
    fresh.close()
    with pytest.raises(InterpreterClosedError):
        getattr(fresh, call)(where, **keywords)
    assert not threads_of(fresh)


@pytest.mark.parametrize("isolation", KINDS)
def test_it_goes_although_what_was_submitted_leads_to_it(isolation: Any) -> None:
    interp = create(isolation=isolation)
    failed = interp.submit(divmod, 1, 0).exception(WAIT)
    assert isinstance(failed, ZeroDivisionError)
    gone, name = weakref.ref(interp), interp.name
    threads = threads_of(interp)
    assert threads
    del interp, failed
    gc.collect()
    assert gone() is None
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive(), name


def test_timeout_in_a_callback(fresh: Interpreter) -> None:
    """It would wait for the thread that it is on."""
    wait, go = create_channel()
    _told, tell = create_channel()
    first = fresh.submit(sleep_until_told, wait, tell)
    raised: Future[Any] = Future()

    def call(_: Any) -> None:
        try:
            raised.set_result(fresh.call(nothing, timeout=WAIT))
        except InterpreterError as error:
            raised.set_result(error)

    first.add_done_callback(call)
    go.send(None)
    assert "callback" in str(raised.result(WAIT))
    assert fresh.call(abs, -1) == 1


def test_submit_while_another_thread_runs(fresh: Interpreter) -> None:
    wait, go = create_channel()
    told, tell = create_channel()
    run = start(fresh.call, sleep_until_told, wait, tell)
    told.recv(WAIT)
    waiting = [fresh.submit(note, n) for n in range(3)]
    assert not wait_for(waiting, 0.05).done
    go.send("done")
    assert run.result(WAIT) == "done"
    assert [each.result(WAIT) for each in waiting] == [1, 2, 3]


def test_time_out_of_what_has_not_begun(fresh: Interpreter) -> None:
    """It must not interrupt what was submitted before."""
    wait, go = create_channel()
    told, tell = create_channel()
    for _ in range(20):
        first = fresh.submit(sleep_until_told, wait, tell)
        with pytest.raises((TimeoutError, InterpreterError)):
            fresh.call(nothing, timeout=0)
        told.recv(WAIT)
        go.send("done")
        assert first.result(WAIT) == "done"


@pytest.mark.parametrize("kind", KINDS)
def test_dropped_with_work_pending(kind: str) -> None:
    wait, go = create_channel()
    told, tell = create_channel()
    interp = create(isolation=kind)
    id = interp.id
    first = interp.submit(sleep_until_told, wait, tell)
    last = interp.submit(where)
    told.recv(WAIT)
    del interp
    go.send("done")
    assert first.result(WAIT) == "done" and last.result(WAIT) == id
    del first, last


def submit_inside(kind: str) -> Any:
    global kept
    kept = create(isolation=kind)
    return kept.submit(where).result(), kept.id


@pytest.mark.parametrize("inner", KINDS)
def test_submit_inside(fresh: Interpreter, inner: str) -> None:
    got, id = fresh.call(submit_inside, inner)
    assert got == id
    fresh.close(timeout=WAIT)


EXIT = """
import sys
import subinterpreters as si

interp = si.create(isolation=sys.argv[1])
how = sys.argv[2]
if how == "done":
    assert interp.submit(len, "abc").result() == 3
elif how == "pending":
    futures = [interp.submit(sum, [n]) for n in range(100)]
elif how == "threads":
    threads = [interp.call_in_thread(len, "x")]
print("end")
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["done", "pending", "threads"])
def test_exit(kind: str, how: str) -> None:
    assert run_script(EXIT, kind, how).stdout == "end\n"


# ---- leaks ---------------------------------------------------------------------------------------

CALLS = """
import operator
kind, what = sys.argv[1:]
interp = si.create(isolation=kind)
if what == "calls":
    def work():
        for _ in range(100):
            assert interp.call(operator.add, [1], ["x" * 1000]) == [1, "x" * 1000]
    grows(work, 100, at_most=2 << 20, warm_up=10)
else:
    source = "def f():\\n class E(Exception): pass\\n raise E('x' * 1000, bytearray(5000))"
    interp.exec(source)
    def work():
        for function in (lambda: f()), (lambda: [][1]), (lambda: open("/no/such/file")):
            for _ in range(7):
                try:
                    interp.call(function)
                except Exception as error:
                    assert isinstance(error, si.ExecutionFailed), error
                else:
                    raise AssertionError
        gc.collect()
    grows(work, 100, at_most=4 << 20, warm_up=20)
interp.close()
"""


@not_under_asan("keeps what was freed")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["calls", "failures"])
def test_leaks(kind: str, what: str) -> None:
    run_script(MEASURE + CALLS, kind, what, timeout=2 * WAIT)


# ---- what the first call needs --------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_call_does_not_run_the_package(kind: str) -> None:
    """What it needs of it is there, and the rest when it is sent or imported; there is one of each."""
    look = "'subinterpreters' in __import__('sys').modules"
    name_of_type = eval("lambda obj: type(obj).__qualname__", {})  # of no module
    recv, send = create_channel()
    with create(isolation=kind) as interp:
        had_it = interp.call(eval, look)  # a sitecustomize may import it
        assert interp.call(abs, -1) == 1
        assert interp.call(eval, look) == had_it
        sent = [si.Lock(), si.Condition(), si.create_queue(), send, recv, get_main()]
        for obj in sent:
            assert interp.call(name_of_type, obj) == type(obj).__qualname__
        interp.prepare_main(sent=sent)
        interp.exec("""
import sys
module = sys.modules["subinterpreters._subinterpreters"]
import subinterpreters
assert subinterpreters._subinterpreters is module is sys.modules["subinterpreters._subinterpreters"]
assert module.__name__ == module.__spec__.name == "subinterpreters._subinterpreters"
assert module.__file__ == module.__spec__.origin and module.__package__ == "subinterpreters"
assert type(sent[0]) is subinterpreters.Lock and type(sent[2]) is subinterpreters.Queue
assert type(sent[3]) is subinterpreters.SendChannel and type(sent[5]) is subinterpreters.Interpreter
with sent[0]: pass
from subinterpreters import InterpreterPoolExecutor
""")


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_call_meets_an_import(kind: str) -> None:
    """On another thread of the same interpreter."""
    name_of_type = eval("lambda obj: type(obj).__qualname__", {})
    for _ in range(5):
        with create(isolation=kind) as interp:
            interp.exec("""
import threading
def load():
    global found
    import subinterpreters
    found = subinterpreters.Lock
thread = threading.Thread(target=load)
thread.start()
""")
            assert interp.call(name_of_type, si.Lock()) == "Lock"
            interp.exec(
                "thread.join(); import subinterpreters; assert found is subinterpreters.Lock"
            )
