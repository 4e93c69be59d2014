# SPDX-License-Identifier: MIT
"""Private interpreters with the code that is hardest on them: C++, threads, TLS, signals, forks."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from textwrap import dedent

import pytest
from support import IN_PARALLEL, KINDS, LONG, not_under_asan, run_script

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")

# Every script: each() runs code in `many` private interpreters at once, `rounds` times, closes
# them, and then all of it once more in new ones.
PRELUDE = (
    IN_PARALLEL
    + """
import os, sys
import subinterpreters as si

def each(code, many=2, rounds=3, generations=2, **given):
    for generation in range(generations):
        interps = [si.create(isolation="private") for _ in range(many)]
        for interp in interps:
            interp.prepare_main(expected_id=interp.id, **given)
        for _ in range(rounds):
            in_parallel(interps, code)
        for interp in interps:
            interp.close()
"""
)


def private(script, *args, **kwargs):
    kwargs.setdefault("timeout", 100)
    return run_script(PRELUDE + dedent(script), *args, **kwargs)


def each(code, *args, many=2, rounds=3, generations=2, **kwargs):
    script = f"each({dedent(code)!r}, {many}, {rounds}, {generations})"
    return private(script, *args, **kwargs)


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """Copies of files in a temporary folder are of no use to anyone later."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        folder.chmod(0o700)
        patch.setenv("SUBINTERPRETERS_CACHE", str(folder))
        yield


# ---- extensions -------------------------------------------------------------------------------

MODULE = """
#include <Python.h>
#define FUNCTIONS(...) static PyMethodDef functions[] = {__VA_ARGS__, {NULL, NULL, 0, NULL}}
#define MODULE(name) \\
    static PyModuleDef definition = {PyModuleDef_HEAD_INIT, #name, NULL, -1, functions, \\
                                     NULL, NULL, NULL, NULL}; \\
    PyMODINIT_FUNC PyInit_##name(void) { return PyModule_Create(&definition); }
"""

# Takes some of the thread-local storage that a process can hand out to libraries once it runs.
GREEDY_C = """
static __thread volatile char block[300] __attribute__((tls_model("initial-exec")));
static PyObject *
touch(PyObject *module, PyObject *unused)
{
    return PyLong_FromLong(++block[7]);
}
FUNCTIONS({"touch", touch, METH_NOARGS, NULL});
MODULE(greedy)
"""

# What both parts of the C++ test have in common, with symbols that are unique in a process.
SHARED_HPP = """
#pragma once
#include <string>
#include <stdexcept>
struct Base { virtual ~Base() {} };
template <class T> struct Derived : Base { T value; explicit Derived(T v) : value(v) {} };
struct Error : std::runtime_error { using std::runtime_error::runtime_error; };
inline long &counter() { static long n = 0; return n; }
template <class T> T &variable() { static T v{}; return v; }
inline std::string &text() { static std::string s = "start"; return s; }
Base *make(long n);
void fail(const char *);
long add_there();
"""

LIBRARY_CPP = """
#include <Python.h>
#include "shared.hpp"
Base *make(long n) { return new Derived<long>(n); }
void fail(const char *why) { throw Error(why); }
long add_there() { return PyLong_Check(Py_None) + ++counter(); }
"""

MAIN_CPP = (
    MODULE
    + """
#include "shared.hpp"
#include <atomic>
#include <memory>
#include <thread>
#include <typeinfo>
#include <vector>

struct Global {
    std::string s = "a global object with a text that is too long to lie inside";
    std::vector<int> v = std::vector<int>(1000, 7);
    ~Global() { v.clear(); }
};
static Global global;
static std::atomic<int> ended{0};
struct Local {
    std::string s = "an object of a thread with a text that is too long to lie inside";
    ~Local() { ended += s.size() > 1; }
};
static thread_local Local local;
static thread_local int number = 5;

static PyObject *run(PyObject *, PyObject *)
{
    try { fail("there"); return PyErr_Format(PyExc_AssertionError, "no exception"); }
    catch (const Error &e) { if (std::string(e.what()) != "there") return NULL; }
    try { try { throw Error("here"); } catch (std::exception &) { throw; } }
    catch (const std::runtime_error &) { }
    std::exception_ptr kept;
    std::thread t([&] {
        local.s += "x"; number++;
        try { fail("thread"); } catch (...) { kept = std::current_exception(); }
    });
    t.join();
    try { std::rethrow_exception(kept); } catch (const Error &) { }
    std::unique_ptr<Base> b(make(42));
    if (typeid(*b) != typeid(Derived<long>)) return PyErr_Format(PyExc_AssertionError, "typeid");
    auto *d = dynamic_cast<Derived<long> *>(b.get());
    if (!d || d->value != 42) return PyErr_Format(PyExc_AssertionError, "dynamic_cast");
    if (global.v.size() != 1000) return PyErr_Format(PyExc_AssertionError, "global");
    Py_RETURN_NONE;
}
static PyObject *count(PyObject *, PyObject *) { ++counter(); return PyLong_FromLong(add_there()); }
static PyObject *ends(PyObject *, PyObject *) { return PyLong_FromLong(ended); }
static PyObject *touch(PyObject *, PyObject *)
{
    local.s += "y";
    text() += "z";
    return PyLong_FromLong(++variable<long>() + number * 0);
}
FUNCTIONS({"run", run, METH_NOARGS, NULL}, {"count", count, METH_NOARGS, NULL},
          {"ends", ends, METH_NOARGS, NULL}, {"touch", touch, METH_NOARGS, NULL});
MODULE(cxxmain)
"""
)

# More extensions with the same statics: cxxother needs the library, too; cxxalone has nothing but the
# header.
OTHER_CPP = """
#include <Python.h>
#include "shared.hpp"
static PyObject *count(PyObject *, PyObject *) { return PyLong_FromLong(++counter()); }
static PyObject *count_variable(PyObject *, PyObject *)
{ return PyLong_FromLong(++variable<long>()); }
#ifdef LIBRARY
static PyObject *count_there(PyObject *, PyObject *) { return PyLong_FromLong(add_there()); }
#else
static PyObject *count_there(PyObject *, PyObject *) { Py_RETURN_NONE; }
#endif
static PyMethodDef functions[] = {{"count", count, METH_NOARGS, NULL},
    {"variable", count_variable, METH_NOARGS, NULL}, {"there", count_there, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL}};
static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "other", NULL, -1, functions,
                                 NULL, NULL, NULL, NULL};
PyMODINIT_FUNC NAME(void) { return PyModule_Create(&definition); }
"""

# callbacks(f, n) calls f(i) n times, from 4 threads of C; callback(address, n) a function of C.
THREADS_C = (
    MODULE
    + """
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>
struct job { PyObject *f; int (*c)(int); long n; long wrong; };
static void *call(void *arg)
{
    struct job *j = arg;
    for (long i = 0; i < j->n; i++) {
        if (j->c != NULL) { j->wrong += j->c((int)i) != (int)i + 1; continue; }
        PyGILState_STATE state = PyGILState_Ensure();
        PyObject *r = PyObject_CallFunction(j->f, "l", i);
        j->wrong += r == NULL || PyLong_AsLong(r) != i + 1;
        PyErr_Clear();
        Py_XDECREF(r);
        PyGILState_Release(state);
    }
    return NULL;
}
static PyObject *run(PyObject *f, int (*c)(int), long n)
{
    pthread_t threads[4];
    struct job jobs[4];
    long wrong = 0;
    Py_BEGIN_ALLOW_THREADS
    for (int i = 0; i < 4; i++) {
        jobs[i] = (struct job){f, c, n / 4, 0};
        pthread_create(&threads[i], NULL, call, &jobs[i]);
    }
    for (int i = 0; i < 4; i++) { pthread_join(threads[i], NULL); wrong += jobs[i].wrong; }
    Py_END_ALLOW_THREADS
    return PyLong_FromLong(wrong);
}
static PyObject *callbacks(PyObject *m, PyObject *args)
{
    PyObject *f; long n;
    return PyArg_ParseTuple(args, "Ol", &f, &n) ? run(f, NULL, n) : NULL;
}
static PyObject *callback(PyObject *m, PyObject *args)
{
    unsigned long long address; long n;
    return PyArg_ParseTuple(args, "Kl", &address, &n)
        ? run(NULL, (int (*)(int))(uintptr_t)address, n) : NULL;
}
static sem_t left;
static void *leave_state(void *fd)
{
    char byte;
    PyGILState_Ensure();
    PyEval_SaveThread();
    sem_post(&left);
    while (fd != NULL && read((int)(intptr_t)fd, &byte, 1) > 0) { }
    return NULL;
}
static PyObject *leave(PyObject *m, PyObject *args)  // with fd 0 the thread ends at once
{
    int fd;
    pthread_t thread;
    if (!PyArg_ParseTuple(args, "i", &fd)) { return NULL; }
    sem_init(&left, 0, 0);
    pthread_create(&thread, NULL, leave_state, (void *)(intptr_t)fd);
    Py_BEGIN_ALLOW_THREADS
    sem_wait(&left);
    if (fd == 0) { pthread_join(thread, NULL); } else { pthread_detach(thread); }
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}
static int before, after;
static void count_before(void) { before++; }
static void count_after(void) { after++; }
static PyObject *at_fork(PyObject *m, PyObject *args)
{
    pthread_atfork(count_before, count_after, count_after);
    Py_RETURN_NONE;
}
static PyObject *forks(PyObject *m, PyObject *args) { return Py_BuildValue("ii", before, after); }
FUNCTIONS({"callbacks", callbacks, METH_VARARGS, NULL}, {"callback", callback, METH_VARARGS, NULL},
          {"leave", leave, METH_VARARGS, NULL}, {"at_fork", at_fork, METH_NOARGS, NULL}, {"forks", forks, METH_NOARGS, NULL});
MODULE(cthreads)
"""
)

OPENMP_C = (
    MODULE
    + """
#include <omp.h>
static PyObject *sum(PyObject *m, PyObject *args)
{
    long n = 0;
    Py_BEGIN_ALLOW_THREADS
    #pragma omp parallel for reduction(+ : n) num_threads(4)
    for (long i = 0; i < 100000; i++) { n += i; }
    Py_END_ALLOW_THREADS
    return PyLong_FromLong(n);
}
FUNCTIONS({"sum", sum, METH_NOARGS, NULL});
MODULE(openmp)
"""
)

BROKEN = {
    "raises": "PyMODINIT_FUNC PyInit_raises(void)"
    '{ PyErr_SetString(PyExc_ImportError, "no"); return NULL; }',
    "returns_null": "PyMODINIT_FUNC PyInit_returns_null(void) { return NULL; }",
    "no_init": "PyMODINIT_FUNC PyInit_other(void) { Py_RETURN_NONE; }",
    "undefined": "extern PyObject *Py_There_is_none(void);"
    "PyMODINIT_FUNC PyInit_undefined(void) { return Py_There_is_none(); }",
}


@pytest.fixture(scope="session")
def extensions(tmp_path_factory):
    if shutil.which("g++") is None:
        pytest.skip("there is no C++ compiler")
    folder = tmp_path_factory.mktemp("extensions")
    include = sysconfig.get_path("include")

    def build(name, source, *options, compiler="gcc"):
        kind = ".cpp" if compiler == "g++" else ".c"
        file = folder / (name + kind)
        file.write_text(source)
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-g", f"-I{include}", f"-I{folder}"]
            + [str(file), "-o", str(folder / (name if ".so" in name else name + SUFFIX)), *options],
            check=True,
        )

    (folder / "shared.hpp").write_text(SHARED_HPP)
    build("libcxxpart.so", LIBRARY_CPP, "-Wl,-soname,libcxxpart.so", compiler="g++")
    linked = [f"-L{folder}", "-lcxxpart", "-Wl,-rpath,$ORIGIN", "-pthread"]
    build("cxxmain", MAIN_CPP, *linked, compiler="g++")
    build("cxxother", OTHER_CPP, "-DNAME=PyInit_cxxother", "-DLIBRARY", *linked, compiler="g++")
    build("cxxalone", OTHER_CPP, "-DNAME=PyInit_cxxalone", compiler="g++")
    build("cthreads", THREADS_C, "-pthread")
    build("openmp", OPENMP_C, "-fopenmp")
    build("greedy", MODULE + GREEDY_C)
    for name, source in BROKEN.items():
        build(name, MODULE + source)
    whole = (folder / ("cthreads" + SUFFIX)).read_bytes()
    for name, content in {
        "cut": whole[:3000],
        "short": whole[:20],
        "empty": b"",
        "words": b"x\n",
    }.items():
        (folder / (name + SUFFIX)).write_bytes(content)
    return folder


def with_extensions(folder, code, **kwargs):
    return each(f"import sys\nsys.path.insert(0, {str(folder)!r})\n" + dedent(code), **kwargs)


def test_cxx(extensions):
    with_extensions(
        extensions,
        """
        import cxxmain, threading
        for _ in range(200):
            cxxmain.run()
        touched = globals().get("touched", 0)
        threads = [threading.Thread(target=cxxmain.touch) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        touched += 6
        assert cxxmain.touch() == touched
        assert cxxmain.ends() >= touched - 6
        """,
        rounds=4,
    )


STATICS = """
import sys
def look(order):
    sys.path.insert(0, folder)
    import importlib
    a, b, c = (importlib.import_module(name) for name in order.split())
    names = "count", "there", "variable", "touch"
    calls = [getattr(each, name, int) for each in (a, b, c) for name in names]
    return repr([call() for call in calls + calls])
"""


@pytest.mark.parametrize("last", ["cxxmain", "cxxother", "cxxalone"])
def test_cxx_statics_are_one_in_an_interpreter(extensions, last):
    """What inline functions and templates have is there once for all extensions, as in a process."""
    order = " ".join(sorted({"cxxmain", "cxxother", "cxxalone"} - {last})) + " " + last
    private(
        f"""
        code = {STATICS!r}
        recv, send = si.create_channel()
        seen = []
        for generation in range(3):
            interps = [si.create(isolation="private") for _ in range(2)]
            for interp in interps:
                interp.prepare_main(folder={str(extensions)!r}, order={order!r}, send=send)
            in_parallel(interps, code + "send.send(look(order))")
            for interp in interps:
                seen.append(recv.recv())
                interp.close()
            if generation == 1:
                given = {{"folder": {str(extensions)!r}}}
                exec(code, given)
                expected = given["look"]({order!r})
        assert seen == [expected] * 6, (seen, expected)
        """
    )


def test_cxx_thread_local_objects_outlive_the_interpreter(extensions):
    """A thread that has some ends after the close."""
    private(
        f"""
        for generation in range(5):
            interps = [si.create(isolation="private") for _ in range(2)]
            done, closed = threading.Barrier(3), threading.Event()

            def run(interp):
                interp.exec("import sys; sys.path.insert(0, {str(extensions)!r})")
                interp.exec("import cxxmain; cxxmain.touch(); cxxmain.run()")
                done.wait()
                closed.wait()

            threads = [threading.Thread(target=run, args=[interp]) for interp in interps]
            for thread in threads:
                thread.start()
            done.wait()
            for interp in interps:
                interp.close()
            closed.set()
            for thread in threads:
                thread.join()
        """
    )


# 100,000 callbacks: in two interpreters, and then in two more
CALLBACK = """
    import subinterpreters
    def f(i):
        assert subinterpreters.get_current().id == expected_id
        return i + 1
"""


def test_callbacks_from_threads_of_c(extensions):
    code = dedent(CALLBACK) + "import cthreads\nassert cthreads.callbacks(f, 25_000) == 0"
    with_extensions(extensions, code, rounds=1)


def test_ctypes_callbacks_from_threads_of_c(extensions):
    code = """
        import ctypes, cthreads
        c = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(f)
        assert cthreads.callback(ctypes.cast(c, ctypes.c_void_p).value, 25_000) == 0
    """
    with_extensions(extensions, dedent(CALLBACK) + dedent(code), rounds=1)


def test_cffi_callbacks_from_threads_of_c(extensions):
    pytest.importorskip("cffi")
    code = """
        import cffi, cthreads
        ffi = cffi.FFI()
        c = ffi.callback("int(int)", f)
        assert cthreads.callback(int(ffi.cast("uintptr_t", c)), 25_000) == 0
    """
    with_extensions(extensions, dedent(CALLBACK) + dedent(code), rounds=1)


def test_threads_of_c_that_leave_their_thread_states(extensions):
    """Those of threads that have ended do not keep the interpreter open; others do."""
    done = private(
        f"""
        for _ in range(3):
            interp = si.create(isolation="private")
            interp.exec("import sys; sys.path.insert(0, {str(extensions)!r})")
            interp.exec('''if True:
                import atexit, ctypes, cthreads
                f = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda n: n + 1)
                for _ in range(20):
                    cthreads.leave(0)
                # it needs the thread state of the thread that closes
                atexit.register(lambda: print(f(4), flush=True))
            ''')
            read, write = os.pipe()
            interp.prepare_main(read=read)
            interp.exec("cthreads.leave(read)")
            for _ in range(2):
                try:
                    interp.close(0.1)
                except TimeoutError:
                    pass
                else:
                    raise AssertionError
            os.close(write)
            interp.close(10)
            os.close(read)
        """
    )
    assert done.stdout.split() == ["5"] * 3


def test_openmp(extensions):
    code = "import openmp\nfor _ in range(20):\n    assert openmp.sum() == 4999950000"
    with_extensions(extensions, code, rounds=5)


GREEDY = """
    sys.path.insert(0, sys.argv[1])
    interps, refused = [], None
    while refused is None and len(interps) < 25:
        interps.append(si.create(isolation="private"))
        try:
            interps[-1].exec("import greedy; assert greedy.touch() == 1")
        except si.ExecutionFailed as error:
            refused = error.excinfo
    for interp in interps[:-1]:
        interp.exec("assert greedy.touch() == 2")
    for interp in interps:
        interp.close()
    with si.create(isolation="private") as interp:
        interp.exec("import greedy; assert greedy.touch() == 1")
    if refused is None:
        print("all")
    else:
        assert refused.type.__name__ == "ImportError", refused
        print(len(interps), refused.msg)
"""


def test_static_thread_local_storage_is_scarce(extensions):
    tunables = "glibc.rtld.optional_static_tls=16384"
    count, message = private(GREEDY, str(extensions)).stdout.split(maxsplit=1)
    assert int(count) > 1 and "greedy" in message and f"set GLIBC_TUNABLES={tunables}" in message
    more = private(GREEDY, str(extensions), env={**os.environ, "GLIBC_TUNABLES": tunables})
    assert more.stdout == "all\n"


def test_broken_extensions(extensions):
    with_extensions(
        extensions,
        """
        import importlib, os
        for name in ("raises", "returns_null", "no_init", "undefined", "cut", "short", "empty", "words"):
            for _ in range(2):
                try:
                    importlib.import_module(name)
                except ImportError as error:
                    assert name in ("raises",) or sys.path[0] in (error.path or "") + str(error), (
                        name, error.path, error)
                except SystemError:
                    assert name == "returns_null"
                else:
                    raise AssertionError(name)
            import cthreads, _json
        """,
    )


def test_extensions_have_their_own_paths(extensions):
    with_extensions(
        extensions,
        """
        import os, cxxmain, cthreads, _ctypes
        for module in (cxxmain, cthreads):
            assert os.path.dirname(module.__file__) == sys.path[0], module.__file__
            assert module.__spec__.origin == module.__file__
        assert "subinterpreters" not in _ctypes.__file__
        """,
    )


def test_forks_of_the_process(extensions):
    private(
        f"""
        interps = [si.create(isolation="private") for _ in range(2)]
        for interp in interps:
            interp.exec("import sys; sys.path.insert(0, {str(extensions)!r}); import cthreads, ssl")
            interp.exec("cthreads.at_fork()")
        for n in range(3):
            pid = os.fork()
            if pid == 0:
                import json
                os._exit(json.loads("7"))
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        for interp in interps:
            interp.exec("assert cthreads.forks() == (3, 3), cthreads.forks()")
            interp.close()
        # the handlers of what was unloaded are gone with it
        pid = os.fork()
        if pid == 0:
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        """
    )


# ---- the standard library ---------------------------------------------------------------------

STDLIB = {
    "ctypes": """
        import ctypes, subinterpreters, sys
        api = ctypes.pythonapi
        api.Py_GetVersion.restype = ctypes.c_char_p
        assert api.Py_GetVersion().decode() == sys.version
        api.PyLong_FromLong.restype = ctypes.py_object
        assert api.PyLong_FromLong(ctypes.c_long(123456789)) == 123456789
        assert api.PyLong_FromLong(ctypes.c_long(5)) is 5
        here = ctypes.addressof(ctypes.c_char.in_dll(api, "_Py_NoneStruct"))
        assert here == id(None)
        process = ctypes.CDLL(None)
        assert ctypes.addressof(ctypes.c_char.in_dll(process, "_Py_NoneStruct")) == id(None)
        assert process.abs(-3) == 3
    """,
    "sqlite3": """
        import sqlite3
        db = sqlite3.connect(":memory:")
        db.create_function("twice", 1, lambda x: 2 * x)
        db.execute("create table t(x)")
        db.executemany("insert into t values (?)", [(n,) for n in range(1000)])
        assert db.execute("select sum(twice(x)) from t").fetchone() == (999000,)
        db.close()
    """,
    "ssl": """
        import hashlib, ssl
        client, server = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        server.set_ciphers("ALL")
        a, b, c, d = (ssl.MemoryBIO() for _ in range(4))
        one, two = client.wrap_bio(a, b), server.wrap_bio(c, d, server_side=True)
        errors = []
        while len(errors) < 2:  # the server has no certificate: it refuses, and tells the client
            for side in (two, one):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError as error:
                    errors.append(error.reason)
                c.write(b.read())
                a.write(d.read())
        assert errors[0] == "NO_SHARED_CIPHER" and errors[1].endswith("HANDSHAKE_FAILURE"), errors
        for name in ("md5", "sha256", "sha3_512", "blake2b"):
            assert hashlib.new(name, b"x" * 100000).digest()
    """,
    "numbers": """
        import decimal, fractions, zoneinfo, datetime
        with decimal.localcontext() as context:
            context.prec = 200
            assert str(decimal.Decimal(2).sqrt()).startswith("1.41421356237309504880168872420969")
        try:
            zone = zoneinfo.ZoneInfo("Europe/Rome")
        except zoneinfo.ZoneInfoNotFoundError:
            pass
        else:
            assert datetime.datetime(2020, 7, 1, tzinfo=zone).utcoffset().seconds == 7200
    """,
    "processes": """
        import subprocess, sys
        done = subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True)
        assert done.stdout == b"42\\n", done
    """,
    "asyncio": """
        import asyncio
        async def main():
            async def one(n):
                await asyncio.sleep(0.001)
                return n
            loop = asyncio.get_running_loop()
            assert await loop.run_in_executor(None, lambda: 5) == 5
            return sum(await asyncio.gather(*map(one, range(100))))
        assert asyncio.run(main()) == 4950
    """,
    "threading": """
        import concurrent.futures, io, logging, threading
        file = io.StringIO()
        logger = logging.getLogger("x")
        logger.addHandler(logging.StreamHandler(file))
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: logger.warning("%d", n), range(100)))
        assert len(file.getvalue().split()) >= 100
        logger.handlers.clear()
        threading.local().x = 5
    """,
    "tracemalloc": """
        import tracemalloc
        tracemalloc.start()
        kept = [bytes(1000) for _ in range(1000)]
        assert tracemalloc.get_traced_memory()[0] > 1_000_000
        tracemalloc.stop()
        del kept
    """,
}


@pytest.mark.parametrize("name", STDLIB)
def test_stdlib(name):
    each(STDLIB[name])


def test_tls_handshake(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"]
        + ["-keyout", tmp_path / "key", "-out", tmp_path / "cert"],
        check=True,
        capture_output=True,
    )
    each(
        f"""
        import ssl
        client, server = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        server.load_cert_chain({str(tmp_path / "cert")!r}, {str(tmp_path / "key")!r})
        named = []
        server.sni_callback = lambda *args: named.append(args[1])
        for _ in range(5):
            a, b, c, d = (ssl.MemoryBIO() for _ in range(4))
            one = client.wrap_bio(a, b, server_hostname="some.where")
            two = server.wrap_bio(c, d, server_side=True)
            for n in range(6):
                for side in (one, two):
                    try:
                        side.do_handshake()
                    except ssl.SSLWantReadError:
                        pass
                c.write(b.read())
                a.write(d.read())
            one.write(b"text")
            c.write(b.read())
            assert two.read(10) == b"text"
        assert named[-1] == "some.where"
        """
    )


def test_terminals():
    """What readline and curses know of the terminal has no lock: each interpreter has its own."""
    pytest.importorskip("readline")
    each(
        """
        import curses, readline, threading
        assert readline.get_current_history_length() == 0
        for n in range(1000):
            readline.add_history(f"{expected_id} {n}")
            readline.parse_and_bind(f'"\\\\C-x{n % 10}": "{expected_id}"')
            readline.get_completer_delims()
        lines = [readline.get_history_item(n + 1) for n in range(1000)]
        assert lines == [f"{expected_id} {n}" for n in range(1000)]
        for _ in range(20):
            curses.setupterm("xterm")
            assert curses.tparm(curses.tigetstr("cup"), 4, 6) == b"\\x1b[5;7H"
        readline.clear_history()
        """,
        many=4,
    )


@pytest.mark.timeout(3600 if LONG else 120)
def test_import_storm():
    each(
        """
        import importlib, os, sysconfig
        names = '''argparse array ast asyncio base64 bisect bz2 calendar collections csv ctypes
            dataclasses datetime decimal email.message enum fractions functools gzip hashlib heapq
            http.client inspect itertools json logging lzma multiprocessing pathlib pickle random re
            select shutil signal socket sqlite3 ssl statistics string struct tempfile threading
            unittest uuid xml.etree.ElementTree zipfile zoneinfo'''.split()
        for name in names:
            importlib.import_module(name)
        for file in sorted(os.listdir(sysconfig.get_config_var("DESTSHARED"))):
            name = file.partition(".")[0]
            if file.endswith(".so") and not name.startswith(("_test", "_tkinter", "_xxsub")):
                try:
                    importlib.import_module(name)
                except ImportError as error:
                    assert "cannot open shared object" in str(error), (name, error)
        """,
        many=8,
        rounds=1,
        generations=50 if LONG else 2,
        timeout=3600 if LONG else 100,
    )


# ---- the process ------------------------------------------------------------------------------


def test_signals():
    private(
        """
        import signal, time
        signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored in the background
        each('''if True:
            import os, signal
            try:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
            except ValueError:
                pass
            else:
                raise AssertionError
            for f, args in ((os.fork, ()), (os.execv, ("/bin/true", ["true"]))):
                try:
                    f(*args)
                except RuntimeError:
                    pass
                else:
                    raise AssertionError
        ''')
        for when in ("open", "closed"):
            interp = si.create(isolation="private")
            interp.exec("import signal, asyncio, threading")
            if when == "closed":
                interp.close()
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(5)
            except KeyboardInterrupt:
                pass
            else:
                raise AssertionError
            if when == "open":
                interp.close()
        """
    )


def test_the_process_is_everybodys(tmp_path):
    private(
        f"""
        with si.create(isolation="private") as interp:
            interp.exec("import os; os.environ['SUBI_X'] = 'y'; os.chdir({str(tmp_path)!r})")
            assert os.getcwd() == {str(tmp_path)!r}
            import ctypes
            getenv = ctypes.CDLL(None).getenv
            getenv.restype = ctypes.c_char_p
            assert getenv(b"SUBI_X") == b"y"
            assert "SUBI_X" not in os.environ
        """
    )


CHILD = """
import subprocess, sys
code = "import os; print(os.environ['SUBI_299'][0])"
assert subprocess.check_output([sys.executable, "-c", code]).strip() == b"y"
"""


def test_the_environment_is_there():
    private(
        f"""
        os.environ.update({{f"SUBI_{{n}}": "x" * n for n in range(1, 300)}})  # it moves
        with si.create(isolation="private") as interp:
            interp.prepare_main(known=tuple(os.environ.items()))
            interp.exec("import os; assert dict(known) == dict(os.environ), os.environ")
            os.environ.update({{f"SUBI_{{n}}": "y" * n for n in range(1, 300)}})
            interp.exec({CHILD!r})
        """
    )


def test_forks_are_refused_but_not_processes():
    private(
        """
        with si.create(isolation="private") as interp:
            interp.exec('''if True:
                import os, pty, subprocess, sys
                pid = os.getpid()
                for refused in (os.fork, os.forkpty, pty.fork):
                    try:
                        refused()
                    except RuntimeError as error:
                        assert "fork" in str(error)
                    else:
                        os._exit(3)
                done = subprocess.run([sys.executable, "-c", ""], preexec_fn=lambda: os.nice(1))
                assert done.returncode == 0 and os.getpid() == pid
            ''')
        """
    )


def test_an_interpreter_of_the_standard_library_inside():
    private(
        """
        try:
            import _interpreters
        except ImportError:
            sys.exit()
        interp = si.create(isolation="private")
        interp.exec("import _interpreters as x; i = x.create(); x.exec(i, 'import subinterpreters'); "
                    "x.destroy(i)")
        interp.close()
        for kind in ("own", "private"):
            si.create(isolation=kind).close()
        """
    )


@pytest.mark.parametrize("closes", [True, False])
def test_what_was_printed_before_its_buffers_came_back(closes):
    """It lingers until the process ends."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = private(
        f"""
        recv, send = si.create_channel()
        interps = [si.create(isolation=kind) for kind in {KINDS!r}]
        for interp in interps:
            interp.prepare_main(send=send)
            interp.exec("import atexit; atexit.register(print, 'bye'); print('hello')")
            interp.exec("send.send(bytearray(8))")
        views = [recv.recv() for _ in interps]
        if {closes}:
            for interp in interps:
                interp.close()
        """,
        env=env,
    )
    assert sorted(done.stdout.split()) == ["bye"] * len(KINDS) + ["hello"] * len(KINDS)


def test_one_that_cannot_start_leaves_nothing(tmp_path):
    (tmp_path / "threading.py").write_text("raise KeyError('this one')")
    private(
        f"""
        import threading
        sys.path.insert(0, {str(tmp_path)!r})
        os.environ["PYTHONPATH"] = {str(tmp_path)!r}

        def count():
            with open("/proc/self/maps") as file:
                return file.read().count(".so.")

        for n in range(4):
            try:
                si.create(isolation="private")
            except si.InterpreterError as error:
                assert "KeyError: 'this one'" in str(error), error
            else:
                raise AssertionError
            if n == 1:
                before = count()
        assert count() == before
        """
    )


def test_unbuffered_and_original_arguments():
    code = """if True:
        import subinterpreters as si, sys
        with si.create(isolation="private") as interp:
            interp.prepare_main(known=tuple(sys.orig_argv), through=sys.stdout.write_through)
            interp.exec("import sys; assert (*sys.orig_argv,) == known; "
                        "assert sys.stdout.write_through == through")
    """
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    for options in ([], ["-u"]):
        subprocess.run([sys.executable, *options, "-P", "-c", code], check=True, env=env)


def test_atexit():
    done = private(
        """
        interp = si.create(isolation="private")
        interp.exec("import atexit; atexit.register(print, 'bye', flush=True)")
        print("closing", flush=True)
        interp.close()
        print("closed")
        """
    )
    assert done.stdout.split() == ["closing", "bye", "closed"]


def test_faulthandler_inside():
    """It is left to the main interpreter: what it had enabled is enabled afterwards."""
    command = """
        import faulthandler
        faulthandler.enable()
        with si.create(isolation="private") as interp:
            interp.exec("import faulthandler; faulthandler.enable(); faulthandler.disable()")
        with si.create(isolation="private") as interp:
            interp.exec("import faulthandler; faulthandler.enable()")
        import ctypes
        ctypes.string_at(0)
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", PRELUDE + dedent(command)],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == -11
    assert "Fatal Python error: Segmentation fault" in done.stderr


@not_under_asan("needs more memory")
def test_sixty_four_at_once():
    done = private(
        """
        import ctypes
        def rss():
            ctypes.CDLL(None).malloc_trim(0)
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
        with si.create(isolation="private") as first:
            first.exec("import json, re")
        before = rss()
        interps = [si.create(isolation="private") for _ in range(64)]
        in_parallel(interps, "import json, re; assert json.loads('[1]') == [1]")
        open_ = rss()
        for interp in interps:
            interp.close()
        closed = rss()
        print("MiB before, open, closed:", before, open_, closed)
        assert open_ - before < 64 * 15
        assert closed - before < 20
        """
    )
    print(done.stdout)


OPTIONS = {
    "none": [],
    "-I": ["-I"],
    "-O": ["-O"],
    "-E -s": ["-E", "-s"],
    "-X dev": ["-X", "dev"],
    "-X": ["-X", "utf8", "-X", "something=5", "-X", "importtime=0"][:4],
    "-W": ["-W", "error::UserWarning", "-W", "ignore::DeprecationWarning"],
    "-B -bb": ["-B", "-bb"],
    "malloc": [],
    "debug": [],
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options(name):
    code = """
    import subinterpreters as si, sys
    TOLD = "import sys\\nresult = repr((sys.flags, sys._xoptions, sys.warnoptions, sys.path, sys.prefix, " \\
        "sys.exec_prefix, sys.base_prefix, sys.executable, sys.argv, sys.dont_write_bytecode, __debug__))"
    recv, send = si.create_channel()
    exec(TOLD)
    for _ in range(3):
        with si.create(isolation="private") as interp:
            interp.prepare_main(send=send)
            interp.exec("import json, re, ctypes\\n" + TOLD + "\\nsend.send(result)")
            other = recv.recv()
            assert other == result, "\\n" + other + "\\n" + result
    """
    env = {**os.environ, "PYTHONMALLOC": name} if name in ("malloc", "debug") else None
    done = subprocess.run(
        [sys.executable, "-P", *OPTIONS[name], "-c", dedent(code)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=env,
    )
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr, done.stderr


def test_it_is_in_the_venv():
    assert Path(sys.prefix) != Path(sys.base_prefix)
    private(
        """
        prefix, path = sys.prefix, list(sys.path)
        with si.create(isolation="private") as interp:
            interp.prepare_main(prefix=prefix, path=repr(path))
            interp.exec("import sys; assert sys.prefix == prefix and repr(sys.path) == path, sys.path")
        """
    )
