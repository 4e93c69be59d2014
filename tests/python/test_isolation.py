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
