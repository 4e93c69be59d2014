# SPDX-License-Identifier: MIT
"""What private interpreters need, and what says so when it is not there; the commands about them."""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from textwrap import dedent

import pytest
from support import KINDS, run_script

import subinterpreters
from subinterpreters import _libpython

# ---- the libpython ----------------------------------------------------------------------------


def test_it_is_of_this_python():
    path = Path(_libpython.find())
    assert path.is_absolute() and path.is_file()
    assert f"python{sys.version_info[0]}.{sys.version_info[1]}" in path.name


def test_there_is_none(monkeypatch, tmp_path):
    tried = [str(tmp_path / "one"), str(tmp_path / "two")]
    monkeypatch.setattr(_libpython, "_candidates", lambda name: iter(tried))
    with pytest.raises(FileNotFoundError) as caught:
        _libpython.find()
    for text in (*tried, "isolation='private'", "apt install libpython", "--enable-shared"):
        assert text in str(caught.value)


def test_those_of_other_versions(monkeypatch, tmp_path):
    older, empty = tmp_path / "older", tmp_path / "empty"
    older.write_bytes(b"\x003.11.99\0")
    empty.touch()
    found = _libpython.find()
    monkeypatch.setattr(_libpython, "_candidates", lambda name: iter([str(older), found]))
    assert _libpython.find() == found
    monkeypatch.setattr(_libpython, "_candidates", lambda name: iter([str(empty), str(older)]))
    with pytest.raises(FileNotFoundError, match=f"{older} \\(which is of another version\\)"):
        _libpython.find()


def test_creating_without_one():
    run_script(
        """
        import subinterpreters as si
        from subinterpreters import _libpython
        _libpython._candidates = lambda name: iter(["/nowhere/libpython.so"])
        for _ in range(2):
            try:
                si.create(isolation="private")
            except si.InterpreterError as error:
                assert "there is no /nowhere/libpython.so" in str(error), error
            else:
                raise AssertionError
        assert si.list_all() == [si.get_main()]
        """
    )


def test_a_file_that_is_none(tmp_path):
    version = f"\0{platform.python_version()}\0"
    (tmp_path / "words").write_text("no library\n" + version)
    run_script(
        """
        import sys
        import subinterpreters as si
        from subinterpreters import _libpython
        _libpython._candidates = lambda name: iter([sys.argv[1]])
        try:
            si.create(isolation="private")
        except si.InterpreterError as error:
            assert sys.argv[1] in str(error) and "no private copy" in str(error), error
        else:
            raise AssertionError
        """,
        str(tmp_path / "words"),
    )


# ---- the cache --------------------------------------------------------------------------------

CREATE = """
import subinterpreters as si
si.create(isolation="private").close()
"""


def with_cache(folder, **more):
    return {**os.environ, "SUBINTERPRETERS_CACHE": str(folder), **more}


def test_a_folder_that_cannot_be_written_to(tmp_path):
    file = tmp_path / "file"
    file.touch()
    done = run_script(CREATE, env=with_cache(file / "below"), returncode=1)
    assert "InterpreterError" in done.stderr and "set SUBINTERPRETERS_CACHE" in done.stderr


def test_a_folder_that_others_can_write_to(tmp_path):
    tmp_path.chmod(0o777)
    done = run_script(CREATE, env=with_cache(tmp_path), returncode=1)
    assert "set SUBINTERPRETERS_CACHE" in done.stderr


def command(*arguments, **env):
    return subprocess.run(
        [sys.executable, "-P", "-m", "subinterpreters", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, **env},
        check=False,
    )


def test_the_command_for_the_cache(tmp_path):
    folder = tmp_path / "cache"
    env = {"SUBINTERPRETERS_CACHE": str(folder), "SUBINTERPRETERS_CACHE_SIZE": str(100 << 20)}
    told = command("cache", **env)
    assert (told.returncode, told.stdout) == (0, f"{folder}: 0 files, 0.0 MiB of at most 100\n")
    run_script(CREATE, env={**os.environ, **env})
    told = command("cache", **env)
    assert "0 files" not in told.stdout and len(list(folder.iterdir())) >= 2
    (folder / "mine").touch()
    told = command("cache", "--clear", **env)
    assert ": 0 files" in told.stdout and os.listdir(folder) == ["mine"]
    refused = command("cache", "all")
    assert refused.returncode == 2 and "expected nothing or --clear, got 'all'" in refused.stderr


def test_clearing_does_not_disturb(tmp_path):
    run_script(
        """
        import subinterpreters as si
        from subinterpreters._subinterpreters import cache_clear, cache_info
        with si.create(isolation="private") as interp:
            interp.exec("import json")
            cache_clear()
            assert cache_info()[2] == 0
            interp.exec("import decimal, sqlite3, json; json.dumps([1])")
            assert cache_info()[2] > 0
        si.create(isolation="private").close()
        """,
        env=with_cache(tmp_path / "cache"),
    )


def test_many_processes_at_once(tmp_path):
    code = "import subinterpreters as si\nwith si.create(isolation='private') as i: i.exec('import json')"
    started = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            env=with_cache(tmp_path / "cache"),
            stderr=subprocess.PIPE,
        )
        for _ in range(8)
    ]
    for process in started:
        assert (process.wait(60), process.communicate()[1]) == (0, b"")


# ---- what packages can be used in ---------------------------------------------------------------


@pytest.mark.skipif("own" not in KINDS, reason="there are no interpreters of kind own")
def test_a_refusal_names_the_remedy():
    with subinterpreters.create(isolation="own") as interp:
        with pytest.raises(subinterpreters.ExecutionFailed) as caught:
            interp.exec("import _testsinglephase")
        message = caught.value.excinfo.msg
    if "No module named" in message:
        pytest.skip("this CPython has no _testsinglephase")
    assert "_testsinglephase" in message and "isolation='private'" in message


def test_the_command_for_packages():
    told = command("check", "json", "there_is_none")
    assert told.returncode == 1
    assert told.stdout.splitlines()[0] == "json  " + "  ".join(f"{kind}: yes" for kind in KINDS)
    assert "private: no" in told.stdout and "No module named 'there_is_none'" in told.stdout
    for arguments in ([], ["--all"]):
        refused = command("check", *arguments)
        assert refused.returncode == 2 and "expected the names of packages" in refused.stderr


# ---- programs that embed Python -----------------------------------------------------------------

EMBEDDING = """
#include <Python.h>
int main(int argc, char **argv)
{
    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    PyStatus status = PyConfig_SetBytesString(&config, &config.home, argv[1]);
    if (PyStatus_Exception(status)) { Py_ExitStatusException(status); }
    status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) { Py_ExitStatusException(status); }
    int failed = PyRun_SimpleString(argv[2]);
    return Py_FinalizeEx() < 0 || failed;
}
"""


def test_a_program_that_embeds_python(tmp_path):
    library = Path(_libpython.find())
    link = library.with_name(library.name.partition(".so")[0] + ".so")
    if shutil.which("gcc") is None or not link.exists():
        pytest.skip("nothing to compile or to link with")
    (tmp_path / "embed.c").write_text(EMBEDDING)
    include = "-I" + sysconfig.get_path("include")
    linked = subprocess.run(
        ["gcc", "-o", tmp_path / "embed", tmp_path / "embed.c", include]
        + [str(link), f"-Wl,-rpath,{link.parent}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "undefined reference" in linked.stderr and "@GLIBC_" in linked.stderr:
        pytest.skip("this libpython is for a newer glibc than the compiler's")
    assert linked.returncode == 0, linked.stderr
    code = f"""
    import sys
    sys.path.append({str(Path(subinterpreters.__file__).parent.parent)!r})
    import subinterpreters as si
    recv, send = si.create_channel()
    for _ in range(2):
        with si.create(isolation="private") as interp:
            interp.prepare_main(send=send)
            interp.exec("import sys, json; send.send((sys.prefix, tuple(sys.path)))")
            assert recv.recv() == (sys.prefix, tuple(sys.path))
    """
    done = subprocess.run(
        [tmp_path / "embed", sys.base_prefix, dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
