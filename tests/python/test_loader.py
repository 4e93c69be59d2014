# SPDX-License-Identifier: MIT
"""What the loader of private interpreters does for code that deals with the process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import UNDER_ASAN, WAIT, not_under_asan, run_program, run_script

CORE = Path(__file__).parent.parent / "core"

CREATE = """
    import subinterpreters as si
    with si.create(isolation="private") as interp:
        interp.exec("import ctypes, decimal, json, sqlite3; json.dumps([1] * 1000)")
"""


def test_another_malloc(tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("there is no C compiler")
    library = tmp_path / "libother.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O1", "-fno-builtin"]
        + [str(CORE / "loader" / "slot_malloc.c"), "-o", str(library)],
        check=True,
    )
    run_script(CREATE, env={**os.environ, "LD_PRELOAD": str(library)})


HANDLERS = """
    import faulthandler, os, signal, sys
    import subinterpreters as si

    register = "import faulthandler, signal; faulthandler.register(signal.SIGWINCH, chain=True)"
    first, second = (si.create(isolation="private") for _ in range(2))
    order = sys.argv[1:]
    first.exec(register)
    second.exec(register)
    for name in order:
        os.kill(os.getpid(), signal.SIGWINCH)
        {"first": first, "second": second}[name].close()
    os.kill(os.getpid(), signal.SIGWINCH)
    si.create(isolation="private").close()
    os.kill(os.getpid(), signal.SIGWINCH)
"""


@pytest.mark.parametrize("order", [("first", "second"), ("second", "first")])
def test_handlers_are_closed_in_any_order(order):
    run_script(HANDLERS, *order)


@pytest.mark.parametrize("size", ["2G", "100m", "1000000000"])
def test_the_size_of_the_cache(size):
    run_script(CREATE, env={**os.environ, "SUBINTERPRETERS_CACHE_SIZE": size})


def test_a_size_that_cannot_be_understood():
    env = {**os.environ, "SUBINTERPRETERS_CACHE_SIZE": "2 GB"}
    done = run_script(CREATE, env=env, returncode=1)
    assert "SUBINTERPRETERS_CACHE_SIZE is 2 GB" in done.stderr


def test_many_clear_the_cache(tmp_path):
    env = {
        **os.environ,
        "SUBINTERPRETERS_CACHE": str(tmp_path / "cache"),
        "SUBINTERPRETERS_CACHE_SIZE": "1",
    }
    code = """if True:
        import subinterpreters as si
        from subinterpreters._subinterpreters import cache_clear
        for _ in range(5):
            with si.create(isolation="private") as interp:
                cache_clear()
                interp.exec("import decimal, json, sqlite3")
                cache_clear()
    """
    started = [
        subprocess.Popen([sys.executable, "-P", "-c", code], env=env, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in started:
        assert (process.wait(60), process.communicate()[1]) == (0, b"")


def test_dladdr_in_an_extension():
    run_script(
        """
        import subinterpreters as si
        with si.create(isolation="private") as interp:
            interp.exec('''if True:
            import ctypes, _ctypes
            class Info(ctypes.Structure):
                _fields_ = [("path", ctypes.c_char_p), ("base", ctypes.c_void_p),
                            ("name", ctypes.c_char_p), ("address", ctypes.c_void_p)]
            info = Info()
            address = ctypes.cast(ctypes.pythonapi.Py_IncRef, ctypes.c_void_p)
            dladdr = ctypes.CDLL(None).dladdr
            assert dladdr(address, ctypes.byref(info)) != 0
            assert b"private-" not in info.path and b"libpython" in info.path, info.path
            ''')
        """
    )


# All of the mappings that a process can have. glibc itself loses some with each library that fails for
# that, so what is there afterwards is not compared.
MAPPINGS = """
    import ctypes, sys
    import subinterpreters as si

    PROT_NONE, PROT_READ, FLAGS, PAGE = 0, 1, 0x4022, 4096  # private, anonymous, not reserved
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    with open("/proc/sys/vm/max_map_count") as file:
        most = int(file.read())
    if most > 1_000_000:
        print("too many")
        raise SystemExit

    with si.create(isolation="private") as before:
        before.exec("import json")
        memory = libc.mmap(None, 2 * most * PAGE, PROT_NONE, FLAGS, -1, 0)
        used = 0
        while libc.mprotect(memory + 2 * used * PAGE, PAGE, PROT_READ) == 0:
            used += 1
            assert used <= most
        refused = 0
        for number in range(1, 50):  # each gives two back
            libc.mprotect(memory + 2 * (used - number) * PAGE, PAGE, PROT_NONE)
            try:
                si.create(isolation="private").close()
            except si.InterpreterError as error:
                assert "no private copy of libpython could be loaded" in str(error), error
                refused += 1
        before.exec("assert json.loads('[1]') == [1]")
        libc.munmap(memory, 2 * most * PAGE)
    assert refused > 0
    with si.create(isolation="private") as after:
        after.exec("import json, ssl; assert json.loads('[1]') == [1]")
"""


@not_under_asan("needs mappings itself")
def test_no_more_mappings():
    if run_script(MAPPINGS, timeout=100).stdout:
        pytest.skip("a process can have too many mappings to use all of them")


@pytest.mark.skipif(not UNDER_ASAN, reason="only AddressSanitizer looks at it")
def test_what_is_seen_of_private_memory():
    code = """if True:
        import subinterpreters as si
        with si.create(isolation="private") as interp:
            interp.exec('''if True:
            import ctypes
            allocate = ctypes.CDLL(None).malloc
            allocate.restype = ctypes.c_void_p
            ctypes.string_at(allocate(10), 11)
            ''')
        """
    done = run_program([sys.executable, "-P", "-c", code], timeout=WAIT)
    assert done.returncode == 99 and "heap-buffer-overflow" in done.stderr, done.stderr
