# SPDX-License-Identifier: MIT
"""What a new interpreter gets of the one that makes it: sys.path, sys.argv, the filters of warnings."""

import getpass
import os
import pathlib
import sys
import warnings
from textwrap import dedent

import pytest
from support import KINDS, run_script

import subinterpreters as si

pytestmark = pytest.mark.parametrize("kind", KINDS)


def ask(kind, code):
    """The value of `answer` after code has run in a new interpreter."""
    recv, send = si.create_channel()
    with si.create(isolation=kind) as interp:
        interp.prepare_main(send=send)
        interp.exec(dedent(code) + "\nsend.send(answer)")
        return recv.recv_nowait()


@pytest.fixture(autouse=True)
def own_filters():
    with warnings.catch_warnings():
        yield


# ---- sys.path, sys.argv -----------------------------------------------------------------------


def test_sys_path(kind, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, "/there/is/no/such", pathlib.Path("/x")])
    assert ask(kind, "import sys; answer = sys.path") == sys.path[:-1]


def test_sys_argv(kind, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["program", "-x", "\udc80\U0001f40d", ""])
    assert ask(kind, "import sys; answer = sys.argv") == sys.argv
    sys.argv.append("later")
    assert ask(kind, "import sys; answer = sys.argv") == sys.argv


class Text(str):
    pass


class Hostile:
    def __str__(self):
        raise ValueError


class Clearing:
    def __str__(self):
        sys.argv.clear()
        return "cleared"


def test_odd_arguments(kind, monkeypatch):
    odd = [Text("a"), pathlib.Path("b"), b"c\xff", 4, None, Hostile(), Clearing(), "last"]
    monkeypatch.setattr(sys, "argv", odd)
    expected = ["a", "b", "c\udcff", "4", "None", "cleared", "last"]
    assert ask(kind, "import sys; answer = sys.argv") == expected


@pytest.mark.parametrize("value", [None, (), "text"])
def test_argv_is_no_list(kind, monkeypatch, value):
    monkeypatch.setattr(sys, "argv", value)
    assert ask(kind, "import sys; answer = type(sys.argv).__name__") == "list"


def test_interpreter_in_interpreter(kind, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["above"])
    with si.create(isolation=kind) as interp:
        interp.exec(
            dedent("""
            import subinterpreters as si, sys
            assert sys.argv == ["above"], sys.argv
            sys.argv = ["below"]
            with si.create() as inner:
                inner.exec("import sys; assert sys.argv == ['below'], sys.argv")
            assert sys.argv == ["below"]
        """)
        )


# ---- warnings ---------------------------------------------------------------------------------

RAISED = """
def raised(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except Warning as warning:
        return type(warning).__name__
    return None
"""


def test_action_is_inherited(kind):
    code = RAISED + "import warnings; answer = raised(warnings.warn, 'text')"
    warnings.simplefilter("error")
    assert ask(kind, code) == "UserWarning"
    warnings.simplefilter("ignore")
    assert ask(kind, code) is None
    warnings.filters.clear()
    assert ask(kind, "import warnings; answer = len(warnings.filters)") == 0


def test_warnings_from_c(kind):
    """Nobody imports `warnings` there: the filters are those of C code."""
    code = RAISED + r"""answer = raised(compile, '"\\y"', 'file', 'exec')"""
    if sys.version_info >= (3, 12):
        warnings.simplefilter("error", SyntaxWarning)
        code = code.replace("except Warning", "except SyntaxError")
        assert ask(kind, code) == "SyntaxError"
    warnings.simplefilter("ignore")
    assert ask(kind, code) is None


def test_patterns(kind):
    warnings.simplefilter("ignore")
    warnings.filterwarnings("error", "no+ (way|day)", UserWarning)
    warnings.filterwarnings("error", "Any", module="some.*")
    code = (
        RAISED
        + """
import warnings
answer = [raised(warnings.warn, text) for text in ("nooo way", "NO DAY", "any", "")]
for name in "something", "other":
    answer.append(raised(warnings.warn_explicit, "any", UserWarning, "file", 1, module=name))
"""
    )
    expected = ["UserWarning", "UserWarning", None, None, "UserWarning", None]
    assert ask(kind, code) == expected


def test_nothing_is_imported(kind):
    code = "import sys; answer = sorted(sys.modules)"
    warnings.resetwarnings()
    imported = ask(kind, code)
    warnings.filterwarnings("ignore", "text", DeprecationWarning, "module")
    warnings.simplefilter("error", pytest.PytestWarning)
    assert ask(kind, code) == imported


def test_category_that_is_imported_later(kind):
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", getpass.GetPassWarning)
    code = (
        RAISED
        + """
import sys, warnings
assert "getpass" not in sys.modules
answer = [raised(warnings.warn, "text")]
import getpass
answer.append(raised(warnings.warn, "text", getpass.GetPassWarning))
class Derived(getpass.GetPassWarning): pass
answer.append(raised(warnings.warn, "text", Derived))
answer.append(raised(warnings.warn, "text"))
"""
    )
    assert ask(kind, code) == [None, "GetPassWarning", "Derived", None]


def test_odd_filters_are_left_out(kind):
    class Local(Warning):
        pass

    in_main = type("InMain", (Warning,), {"__module__": "__main__"})
    unnamed = type("Unnamed", (Warning,), {"__module__": None})
    warnings.resetwarnings()
    for category in Local, in_main, unnamed, UserWarning:
        warnings.simplefilter("error", category)
    warnings.filters += [3, (), ("error", None, 5, None, 0), ("error", 7, UserWarning, None, 0)]
    warnings.filters += [("error", None, UserWarning, None, "line")]
    code = "import warnings; answer = [(f[0], f[2].__name__) for f in warnings.filters]"
    assert ask(kind, code) == [("error", "UserWarning")]


@pytest.mark.parametrize("value", [None, (), 5])
def test_filters_are_no_list(kind, monkeypatch, value):
    monkeypatch.setattr(warnings, "filters", value)
    assert ask(kind, "import warnings; answer = len(warnings.filters)") == 0


def test_is_passed_on(kind):
    warnings.simplefilter("ignore")
    warnings.filterwarnings("error", "stop.*", getpass.GetPassWarning)
    with si.create(isolation=kind) as interp:
        interp.exec(
            dedent("""
            import subinterpreters as si
            with si.create() as inner:
                inner.exec('''
            import getpass, warnings
            warnings.warn("stop", UserWarning)
            warnings.warn("go", getpass.GetPassWarning)
            try:
                warnings.warn("stopped", getpass.GetPassWarning)
            except getpass.GetPassWarning:
                pass
            else:
                raise AssertionError("no warning")
            ''')
        """)
        )


# In scripts: at the program's start, as no test runner leaves them.

START = """
import sys, subinterpreters as si
recv, send = si.create_channel()
def ask(code):
    with si.create(isolation=sys.argv[1]) as interp:
        interp.prepare_main(send=send)
        interp.exec(code + "\\nsend.send(answer)")
        return recv.recv_nowait()
FILTERS = "import warnings; answer = repr(warnings.filters)"
"""


def test_start(kind):
    script = START + dedent("""
        imported = ask("import sys; answer = 'warnings' in sys.modules")
        import warnings
        assert ask("import sys; answer = 'warnings' in sys.modules") == imported
        assert ask(FILTERS) == repr(warnings.filters)
        warnings.simplefilter("error")
        assert ask(FILTERS) == repr(warnings.filters)
        warnings.resetwarnings()
        assert ask(FILTERS) == "[]"
    """)
    run_script(script, kind)


def test_options(kind):
    script = START + dedent("""
        import warnings
        assert warnings.filters[0][0] == "error" and sys.warnoptions
        assert ask(FILTERS) == repr(warnings.filters)
        warnings.simplefilter("ignore")     # wins over the options
        assert ask(FILTERS) == repr(warnings.filters)
        assert ask(FILTERS) == repr(warnings.filters)   # perhaps of one that is used again
    """)
    environment = {**os.environ, "PYTHONWARNINGS": "error::ImportWarning"}
    run_script(script, kind, env=environment)
