# SPDX-License-Identifier: MIT
"""What interpreters print reaches the streams that the caller has put in the place of its own."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from textwrap import dedent

import pytest
from support import KINDS, run_script, start

import subinterpreters as si

pytestmark = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def interp(kind):
    with si.create(isolation=kind) as interp:
        yield interp


def test_stdout(interp):
    with redirect_stdout(io.StringIO()) as out:
        print("before")
        interp.exec("print('inside', end='!\\n', flush=True)")
        print("after")
    assert out.getvalue() == "before\ninside!\nafter\n"


def test_stderr(interp):
    code = "import traceback\ntry: 1 / 0\nexcept ArithmeticError: traceback.print_exc()"
    with redirect_stderr(io.StringIO()) as err:
        interp.exec(code)
    assert err.getvalue().startswith("Traceback (most recent call last)")
    assert err.getvalue().endswith("ZeroDivisionError: division by zero\n")


def test_capsys(interp, capsys):
    interp.exec("import sys; print('out'); print('err', file=sys.stderr)")
    assert capsys.readouterr() == ("out\n", "err\n")


def test_each_run_decides(interp, capfd):
    sink = io.StringIO()
    with redirect_stdout(sink):
        interp.exec("import sys; kept = sys.stdout; print(1)")
    with redirect_stdout(sys.__stdout__):
        interp.exec(
            "assert sys.stdout is sys.__stdout__; print(2); print(3, file=kept, flush=True)"
        )
    with redirect_stdout(sink):
        interp.exec("print(4); print(5, file=kept)")
    assert sink.getvalue() == "1\n4\n5\n"
    assert capfd.readouterr().out == "2\n3\n"


def test_text(interp):
    text = "\U0001f40d \udc80 \ud83d \0 \xe9" * 3
    interp.prepare_main(text=text)
    with redirect_stdout(io.StringIO()) as out:
        interp.exec("import sys; assert sys.stdout.write(text) == len(text)")
    assert out.getvalue() == text


def test_stream_is_one(interp):
    with redirect_stdout(io.StringIO()):
        interp.exec(
            dedent("""
            import _io, sys
            assert isinstance(sys.stdout, _io._TextIOBase) and sys.stdout.writable()
            assert sys.stdout.encoding == "utf-8" and not sys.stdout.isatty()
            sys.stdout.close()
            print("open")
            for wrong in b"bytes", None:
                try:
                    sys.stdout.write(wrong)
                except TypeError as error:
                    assert type(wrong).__name__ in str(error)
                else:
                    raise AssertionError(wrong)
        """)
        )


class Failing:
    def __init__(self, error):
        self.error = error

    def write(self, text):
        raise self.error

    def flush(self):
        pass


class Strange(LookupError):
    pass


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("full"), "ValueError: full"),
        (Strange("odd"), "LookupError: odd"),
        (UnicodeEncodeError("ascii", "x", 0, 1, "no"), "OSError: 'ascii' codec"),
        (OSError(28, "No space"), "OSError: [Errno 28] No space"),
    ],
)
def test_write_raises(interp, error, expected):
    with redirect_stdout(Failing(error)), pytest.raises(si.ExecutionFailed) as caught:
        interp.exec("print(1)")
    assert caught.value.excinfo.formatted.startswith(expected)


def test_write_interrupts(interp):
    with (
        redirect_stdout(Failing(KeyboardInterrupt("now"))),
        pytest.raises(KeyboardInterrupt) as caught,
    ):
        interp.exec("print(1)")
    assert caught.value.args == ("now",)


@pytest.mark.parametrize("stream", [None, 5])
def test_no_stream(interp, stream):
    with redirect_stdout(stream):
        interp.exec("try: print(1)\nexcept AttributeError: pass")


def test_replaced_inside(interp):
    with redirect_stdout(io.StringIO()) as out:
        interp.exec("import io, sys; mine = sys.stdout = io.StringIO(); print('mine')")
        interp.exec("assert sys.stdout is mine and mine.getvalue() == 'mine\\n'")
        interp.exec("sys.stdout = sys.__stdout__")
        interp.exec("print('yours')")
    assert out.getvalue() == "yours\n"


def test_nested(interp, kind):
    with redirect_stdout(io.StringIO()) as out:
        interp.exec(
            dedent("""
            import contextlib, io, subinterpreters as si
            with si.create() as inner:
                inner.exec("print('to the outermost')")
                with contextlib.redirect_stdout(io.StringIO()) as captured:
                    inner.exec("print('captured')")
            print("in between", repr(captured.getvalue()))
        """)
        )
    assert out.getvalue() == "to the outermost\nin between 'captured\\n'\n"


def test_threads_use_its_own_stream(interp, capfd):
    with redirect_stdout(io.StringIO()) as out:
        interp.exec(
            dedent("""
            import threading
            thread = threading.Thread(target=print, args=["thread"], kwargs={"flush": True})
            thread.start()
            thread.join()
            print("run")
        """)
        )
    assert out.getvalue() == "run\n"
    assert capfd.readouterr().out == "thread\n"


def test_in_parallel(kind):
    """Two interpreters write to one stream."""
    count = 500
    interps = [si.create(isolation=kind) for _ in range(2)]
    with redirect_stdout(io.StringIO()) as out, interps[0], interps[1]:
        code = f"for i in range({count}): print('{{}}' + str(i))"
        runs = [start(i.exec, code.format(name)) for i, name in zip(interps, "ab", strict=True)]
        for run in runs:
            run.result(60)
    text = out.getvalue()
    assert text.count("\n") == 2 * count
    assert [text.count(name) for name in "ab"] == [count, count]


def test_is_used_again(kind):
    script = """
        import contextlib, io, sys, subinterpreters as si
        with contextlib.redirect_stdout(io.StringIO()) as out:
            for _ in range(3):
                with si.create(isolation=sys.argv[1]) as interp:
                    interp.exec("import sys; print(id(sys.__stdout__)); print(1, file=sys.stderr)")
        ids = set(out.getvalue().split())
        if sys.version_info >= (3, 13) and sys.argv[1] == "own":
            assert len(ids) == 1, ids
    """
    assert run_script(script, kind).stderr == "1\n" * 3
