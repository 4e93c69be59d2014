# SPDX-License-Identifier: MIT
"""Interpreters that are made in advance, and those that are made without the module site."""

import os
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from support import KINDS, run_script

has_reserve = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="before 3.13 there is no reserve of interpreters"
)

COMMON = dedent("""
    import sys, threading, time
    import subinterpreters as si

    def wait_for(count, limit=10):
        end = time.monotonic() + limit
        while si.get_reserve_count() != count:
            assert time.monotonic() < end, (si.get_reserve_count(), count)
            time.sleep(0.001)

    def ask(interp, expression):
        return interp.call(eval, expression)
""")


def run(script: str, *args: str, **kwargs: object) -> None:
    run_script(COMMON + dedent(script), *args, **kwargs)  # type: ignore[arg-type]


# ---- in advance -------------------------------------------------------------------------------


@has_reserve
def test_so_many_are_ready() -> None:
    """They look like any other, and those that are taken are made anew."""
    run("""
        look = "sorted(__import__('sys').modules), sorted(vars(__import__('builtins'))), __name__"
        si.set_reserve_limit(0)
        with si.create() as interp:
            new = ask(interp, look)
        si.set_reserve_limit(4)
        assert si.get_reserve_count() == 0
        si.warm_reserve(3)
        wait_for(3)
        interps = []
        for _ in range(3):
            wait_for(3)
            interp = si.create(name="mine")
            assert (interp.name, interp.isolation) == ("mine", "own")
            assert ask(interp, look) == new
            interps.append(interp)
        assert len(si.list_all()) == 4  # those that are ready are nobody's
    """)


@has_reserve
def test_what_they_inherit() -> None:
    """It is that of who calls create(), and of that time."""
    run("""
        import os, warnings
        si.warm_reserve(1)
        wait_for(1)
        sys.path.append("/nowhere")
        sys.argv[:] = ["one", "two"]
        warnings.simplefilter("error", DeprecationWarning)
        with si.create() as interp:
            assert ask(interp, "__import__('sys').path") == sys.path
            assert ask(interp, "__import__('sys').argv") == ["one", "two"]
            assert ask(interp, "__import__('warnings').filters[0][0]") == "error"
        os.environ["CHANGED"] = "now"  # what was made before does not have it
        with si.create() as interp:
            assert ask(interp, "__import__('os').environ.get('CHANGED')") == "now"
    """)


@has_reserve
def test_the_limit() -> None:
    """No more than that are kept; 0 turns it off."""
    run("""
        si.set_reserve_limit(2)
        si.warm_reserve(256)
        wait_for(2)
        si.set_reserve_limit(0)
        assert si.get_reserve_count() == 0
        si.warm_reserve(2)
        interps = [si.create() for _ in range(20)]
        assert si.get_reserve_count() == 0
        si.set_reserve_limit(2)  # and forgets what was wanted
        interps.append(si.create())
        assert si.get_reserve_count() == 0
        for wrong, error in (-1, ValueError), (257, ValueError), (1.5, TypeError), ("1", TypeError):
            try:
                si.warm_reserve(wrong)
            except error as e:
                assert wrong != -1 or str(e) == "count must be 0 to 256, got -1"
            else:
                raise AssertionError(wrong)
    """)


@has_reserve
def test_use_makes_some() -> None:
    """Where none was found a few times, one is made in advance."""
    run("""
        si.set_reserve_limit(4)
        interps = [si.create()]
        assert si.get_reserve_count() == 0  # one is no use
        interps += [si.create() for _ in range(30)]
        end = time.monotonic() + 10
        while si.get_reserve_count() == 0:
            assert time.monotonic() < end
            time.sleep(0.001)
    """)


@has_reserve
def test_many_threads() -> None:
    """They take what is made, and nothing is lost."""
    run("""
        si.warm_reserve(4)

        def make():
            for _ in range(10):
                with si.create() as interp:
                    assert interp.call(abs, -1) == 1

        threads = [threading.Thread(target=make) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert len(si.list_all()) == 1
    """)


@has_reserve
@pytest.mark.parametrize("moment", ["at once", "begun", "done", "in a thread"])
def test_the_process_ends(moment: str) -> None:
    """While they are being made, too."""
    for _ in range(3):
        run(
            """
            si.warm_reserve(4)
            if sys.argv[1] == "begun":
                while si.get_reserve_count() == 0:
                    pass
            elif sys.argv[1] == "done":
                wait_for(4)
            elif sys.argv[1] == "in a thread":
                threading.Thread(target=lambda: [si.create().close() for _ in range(3)]).start()
            """,
            moment,
        )


@has_reserve
def test_a_fork() -> None:
    """The child has none of them, and makes its own."""
    run("""
        import os, warnings
        warnings.simplefilter("ignore")
        si.warm_reserve(2)
        for ready in 0, 1, 2:
            while si.get_reserve_count() < ready:
                pass
            pid = os.fork()
            if pid == 0:
                assert si.get_reserve_count() == 0
                with si.create() as interp:
                    assert interp.call(abs, -1) == 1
                si.warm_reserve(2)
                wait_for(2)
                sys.exit(7)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        wait_for(2)
    """)


@has_reserve
def test_tracing_memory() -> None:
    """Before 3.15 that crashes such interpreters: those in the reserve end, and none is made meanwhile."""
    run("""
        import tracemalloc
        for _ in range(5):
            si.set_reserve_limit(4)
            si.warm_reserve(4)
            tracemalloc.start()
            kept = [object() for _ in range(1000)]
            if sys.version_info < (3, 15):
                assert si.get_reserve_count() == 0
                si.warm_reserve(4)
                assert si.get_reserve_count() == 0
            tracemalloc.stop()
        si.warm_reserve(4)
        wait_for(4)
    """)


@has_reserve
def test_from_another_interpreter() -> None:
    """The reserve is the process's."""
    for kind in KINDS:
        run(
            """
            si.set_reserve_limit(8)
            with si.create(isolation=sys.argv[1]) as interp:
                interp.exec("import subinterpreters as si; si.warm_reserve(3)")
                wait_for(3)
                interp.exec("assert si.get_reserve_count() == 3; si.create().close()")
            """,
            kind,
        )


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="there is a reserve")
def test_without_a_reserve() -> None:
    run("""
        si.warm_reserve(4)
        si.create().close()
        assert si.get_reserve_count() == 0
    """)


# ---- without site -----------------------------------------------------------------------------

INHERIT = """
    kind = sys.argv[1]

    def create():
        return si.create(isolation=kind, site="inherit")

    has_site = "'site' in __import__('sys').modules"
    first = [create()]  # from then on there is what others are made from, soon
    if kind == "own" and sys.version_info >= (3, 13):
        end = time.monotonic() + 10
        while ask(first[-1], has_site):
            assert time.monotonic() < end
            first.append(create())
"""

inherits = pytest.mark.parametrize("kind", KINDS)


def leaves_out(kind: str) -> bool:
    return kind == "private" or (kind == "own" and sys.version_info >= (3, 13))


@inherits
def test_without_site(kind: str) -> None:
    """Programs find what they have with it."""
    run(
        INHERIT
        + """
    with first[-1] as interp:
        expected = sys.argv[2] == "False" or len(sys.meta_path) > 3  # a .pth file of setuptools
        assert ask(interp, has_site) == expected
        assert ask(interp, "__import__('sys').flags.no_site") == 0
        assert ask(interp, "str(exit)[:10], str(quit)[:10], str(help)[:8]") == (
            "Use exit()", "Use quit()", "Type hel"
        )
        assert ask(interp, "__import__('sys').path") == sys.path
        interp.exec("import os, json, subinterpreters, threading; threading.Thread(target=abs, args=[1]).start()")
        interp.exec("import site; assert site.ENABLE_USER_SITE is not None")
        try:
            interp.exec("exit(3)")
        except si.ExecutionFailed as error:
            assert error.excinfo.type.__name__ == "SystemExit"
        else:
            raise AssertionError
    """,
        kind,
        str(leaves_out(kind)),
    )


@inherits
def test_those_that_need_site_have_it(kind: str, tmp_path: Path) -> None:
    """A sitecustomize, and the import hooks of others, such as editable installs have."""
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.customized = True")
    check = """
    for _ in range(5):
        with si.create(isolation=sys.argv[1], site="inherit") as interp:
            assert ask(interp, sys.argv[2])
    """
    run(check, kind, "customized", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    finder = """
    import importlib.abc
    class Finder(importlib.abc.MetaPathFinder): pass
    sys.meta_path.append(Finder())
    """
    run(finder + check, kind, "'site' in __import__('sys').modules")


@has_reserve
def test_they_are_used_again() -> None:
    """But by those only that do without site; a full one will do for them, too."""
    run(
        INHERIT
        + """
    def serial(interp):
        return ask(interp, "id(__import__('sys').modules)")
    serials = set()
    si._subinterpreters._pause_making()  # so that nobody else has the template
    for _ in range(6):
        with create() as interp:
            assert not ask(interp, has_site)
            serials.add(serial(interp))
        with si.create(isolation="own") as interp:
            assert ask(interp, has_site)
    assert len(serials) < 6
    si.set_reserve_limit(0)
    si.set_reserve_limit(4)
    si.create(isolation="own").close()
    wait_for(1)
    with create() as interp:
        assert ask(interp, has_site)  # it will do
    """,
        "own",
    )


@has_reserve
def test_many_without_site() -> None:
    """Threads at once: those that find the template in use have site."""
    run(
        INHERIT
        + """
    def make():
        for _ in range(5):
            with create() as interp:
                interp.exec("import json; assert exit and json.dumps(1)")

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    """,
        "own",
    )


def test_wrong_values() -> None:
    run("""
        for wrong in "", "no", "INHERIT":
            try:
                si.create(site=wrong)
            except ValueError as error:
                assert str(error) == f"site must be 'inherit' or None, got '{wrong}'"
            else:
                raise AssertionError
        try:
            si.create(site=True)
        except TypeError as error:
            assert str(error) == "site must be a str or None, got bool"
        else:
            raise AssertionError
        assert len(si.list_all()) == 1
    """)
