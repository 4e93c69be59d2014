// SPDX-License-Identifier: MIT
#define Py_BUILD_CORE_MODULE
#include "start.h"

#include <stdlib.h>

#include "internal/pycore_interp.h"
#include "internal/pycore_runtime.h"

#include "../runtime.h"
#include "../thread_state.h"
#include "heap.h"
#include "settings.h"

// ---- starting ---------------------------------------------------------------------------------

// Another allocator is wanted when memory is to be debugged; then none is put in its place.
static bool
has_own_heap(const settings *s)
{
    bool reads = !s->flags[FLAG_IGNORE_ENVIRONMENT] && !s->flags[FLAG_ISOLATED];
    const char *wanted = reads ? getenv("PYTHONMALLOC") : NULL;
    return !s->flags[FLAG_DEV_MODE] && (wanted == NULL || wanted[0] == 0);
}

// What belongs to the process is set up already, by the main runtime.
static PyStatus
preinitialize(const settings *s)
{
    PyPreConfig pre;
    PyPreConfig_InitPythonConfig(&pre);
    pre.parse_argv = 0;
    pre.configure_locale = 0;
    pre.coerce_c_locale = 0;
    pre.coerce_c_locale_warn = 0;
    pre.use_environment = !s->flags[FLAG_IGNORE_ENVIRONMENT];
    pre.isolated = s->flags[FLAG_ISOLATED];
    pre.dev_mode = s->flags[FLAG_DEV_MODE];
    pre.utf8_mode = s->flags[FLAG_UTF8_MODE];
    return Py_PreInitialize(&pre);
}

static void
set_flags(PyConfig *c, const settings *s)
{
    const int *f = s->flags;
    c->parse_argv = 0;
    c->install_signal_handlers = 0;
    c->faulthandler = 0;  // it would replace the process's signal handlers
    c->pathconfig_warnings = 0;
    c->optimization_level = f[FLAG_OPTIMIZE];
    c->write_bytecode = !f[FLAG_DONT_WRITE_BYTECODE];
    c->user_site_directory = !f[FLAG_NO_USER_SITE];
    c->site_import = !f[FLAG_NO_SITE];
    c->use_environment = !f[FLAG_IGNORE_ENVIRONMENT];
    c->verbose = f[FLAG_VERBOSE];
    c->bytes_warning = f[FLAG_BYTES_WARNING];
    c->isolated = f[FLAG_ISOLATED];
    c->dev_mode = f[FLAG_DEV_MODE];
    c->warn_default_encoding = f[FLAG_WARN_DEFAULT_ENCODING];
    c->safe_path = f[FLAG_SAFE_PATH];
    c->buffered_stdio = !f[FLAG_UNBUFFERED];
#if PY_VERSION_HEX >= 0x030C0000
    c->int_max_str_digits = f[FLAG_INT_MAX_STR_DIGITS];
#endif
}

// From where a Python's executable is, it finds its own folders; in a program that embeds Python
// there is none to start from.
static PyStatus
set_texts(PyConfig *c, const settings *s)
{
    wchar_t *const *t = s->texts;
    bool embedded = t[TEXT_EXECUTABLE] == NULL || t[TEXT_EXECUTABLE][0] == 0;
    const struct {
        wchar_t **field;
        const wchar_t *text;
    } all[] = {
        {&c->program_name, embedded ? NULL : t[TEXT_EXECUTABLE]},
        {&c->executable, embedded ? NULL : t[TEXT_EXECUTABLE]},
        {&c->base_executable, embedded ? NULL : t[TEXT_BASE_EXECUTABLE]},
        {&c->prefix, embedded ? t[TEXT_BASE_PREFIX] : NULL},
        {&c->exec_prefix, embedded ? t[TEXT_BASE_EXEC_PREFIX] : NULL},
        {&c->platlibdir, t[TEXT_PLATLIBDIR]},
        {&c->pycache_prefix, t[TEXT_PYCACHE_PREFIX]},
    };
    PyStatus status = PyStatus_Ok();
    for (size_t i = 0; i < Py_ARRAY_LENGTH(all) && !PyStatus_Exception(status); i++) {
        if (all[i].text != NULL) {
            status = PyConfig_SetString(c, all[i].field, all[i].text);
        }
    }
    return status;
}

static PyStatus
set_list(PyConfig *c, PyWideStringList *to, const text_list *from)
{
    return from->count > 0 ? PyConfig_SetWideStringList(c, to, (Py_ssize_t)from->count, from->items)
                           : PyStatus_Ok();
}

static PyStatus
configure(PyConfig *c, const settings *s)
{
    PyConfig_InitPythonConfig(c);
    set_flags(c, s);
    PyStatus status = set_texts(c, s);
    if (!PyStatus_Exception(status)) {
        status = set_list(c, &c->argv, &s->argv);
    }
    if (!PyStatus_Exception(status)) {
        status = set_list(c, &c->orig_argv, &s->orig_argv);
    }
    if (!PyStatus_Exception(status)) {
        status = set_list(c, &c->warnoptions, &s->warnoptions);
    }
    if (!PyStatus_Exception(status)) {
        status = set_list(c, &c->xoptions, &s->xoptions);
    }
    return status;
}

// No thread counts as this runtime's main one: signals are the main runtime's business, so that
// signal.signal() raises what it raises in any other thread.
static void
have_no_main_thread(void)
{
    _PyRuntime.main_thread = 0;
}

// os.fork and os.exec* raise what they raise in interpreters of other kinds.
static PyObject *
refuse_fork(PyObject *self, PyObject *args)
{
    PyErr_SetString(PyExc_RuntimeError, "fork not supported for isolated subinterpreters");
    return NULL;
}

#if PY_VERSION_HEX < 0x030C0000

static PyObject *
refuse_exec(PyObject *self, PyObject *args)
{
    PyErr_SetString(PyExc_RuntimeError, "exec not supported for isolated subinterpreters");
    return NULL;
}

#endif

// From 3.12 on CPython has a setting for the others. Of forkpty it wants to know whether it is the main
// interpreter, which ours is, in its runtime.
static PyMethodDef refusals[] = {
    {"forkpty", refuse_fork, METH_VARARGS, NULL},
#if PY_VERSION_HEX < 0x030C0000
    {"fork", refuse_fork, METH_VARARGS, NULL},
    {"execv", refuse_exec, METH_VARARGS, NULL},
    {"execve", refuse_exec, METH_VARARGS, NULL},
#endif
    {NULL},
};

static int
refuse_in(const char *name)
{
    PyObject *module = PyImport_ImportModule(name);
    int r = module != NULL ? PyModule_AddFunctions(module, refusals) : -1;
    Py_XDECREF(module);
    return r;
}

static int
refuse_forks(PyInterpreterState *interp)
{
#if PY_VERSION_HEX >= 0x030C0000
    interp->feature_flags &= ~(unsigned long)(Py_RTFLAGS_FORK | Py_RTFLAGS_EXEC);
#endif
    return refuse_in("posix") < 0 || refuse_in("os") < 0 ? -1 : 0;
}

// Threads that the code of a run starts are daemons only if it says so. They inherit that from the
// thread that runs the code, which threading takes for a foreign one, and for a daemon, where there
// can be daemons. In interpreters of the other kinds there can be none.
static const char inherit_no_daemon[] =
    "import threading\n"
    "def __init__(self, original=threading._DummyThread.__init__):\n"
    "    original(self)\n"
    "    self._daemonic = False\n"
    "threading._DummyThread.__init__ = __init__\n"
#if PY_VERSION_HEX >= 0x030D0000 && PY_VERSION_HEX < 0x030E0000
    // before 3.13.3 this finds the globals of threading gone, and complains (python/cpython 130522)
    "def __del__(self, lock=threading._active_limbo_lock, active=threading._active):\n"
    "    with lock:\n"
    "        if active.get(self._tident) is self._dummy_thread:\n"
    "            active.pop(self._tident, None)\n"
    "threading._DeleteDummyThreadOnDel.__del__ = __del__\n"
#endif
    ;

static int
prepare_threading(void)
{
    PyObject *names = PyDict_New();
    PyObject *done = names != NULL
                         ? PyRun_StringFlags(inherit_no_daemon, Py_file_input, names, names, NULL)
                         : NULL;
    Py_XDECREF(done);
    Py_XDECREF(names);
    return done != NULL ? 0 : -1;
}

static int
fail(char *error, size_t size, PyStatus status)
{
    const char *why = subi_slot_error();
    PyOS_snprintf(error, size, "%s%s%s",
                  PyStatus_IsExit(status)  ? "its start-up code asked to exit"
                  : status.err_msg != NULL ? status.err_msg
                                           : "no reason given",
                  why != NULL ? "; " : "", why != NULL ? why : "");
    return -1;
}

// The exception that is set, as the error.
static void
tell(char *error, size_t size)
{
    PyObject *exc = PyErr_GetRaisedException();
    PyObject *text = exc != NULL ? PyObject_Str(exc) : NULL;
    const char *utf8 = text != NULL ? PyUnicode_AsUTF8(text) : NULL;
    PyOS_snprintf(error, size, "%s: %s", exc != NULL ? Py_TYPE(exc)->tp_name : "MemoryError",
                  utf8 != NULL ? utf8 : "");
    Py_XDECREF(text);
    Py_XDECREF(exc);
    PyErr_Clear();
}

static bool started;  // set once, before any code of Python runs

bool
subi_private_is_here(void)
{
    return started;
}

void
subi_private_refresh(void)
{
    if (started) {
        environ = subi_environment();
    }
}

int
subi_private_start(native *n, subi_interp *record, const settings *s, char *error, size_t size)
{
    PyConfig config;
    started = true;
    subi_private_refresh();
    if (has_own_heap(s)) {
        n->heap = subi_heap_install();
    }
    PyStatus status = preinitialize(s);
    if (PyStatus_Exception(status)) {
        return fail(error, size, status);
    }
    status = configure(&config, s);
    n->runtime = &subi_runtime;
    n->interp = &_PyRuntime._main_interpreter;
    // code that runs at the start may import us
    subi_interp_set_native(record, n->interp, n);
    if (!PyStatus_Exception(status)) {
        status = Py_InitializeFromConfig(&config);
    }
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) {
        subi_interp_set_native(record, NULL, NULL);
        return fail(error, size, status);
    }
    have_no_main_thread();
    if (refuse_forks(n->interp) < 0 || prepare_threading() < 0 ||
        subi_thread_state_keep(n, PyThreadState_Get()) < 0) {
        tell(error, size);
        subi_private_finish(n);
        subi_interp_set_native(record, NULL, NULL);
        return -1;
    }
    PyEval_SaveThread();
    return 0;
}

// ---- ending -----------------------------------------------------------------------------------

static int
count_threads(PyInterpreterState *interp)
{
    int count = 0;
    PyThreadState *t = PyInterpreterState_ThreadHead(interp);
    for (; t != NULL; t = PyThreadState_Next(t)) {
        count++;
    }
    return count;
}

// This thread is the one that ends it, whoever started it.
static void
become_main_thread(void)
{
    _PyRuntime.main_thread = PyThread_get_thread_ident();
#if PY_VERSION_HEX >= 0x030D0000
    _PyRuntime.main_tstate = PyThreadState_Get();
#endif
}

void
subi_private_finish(native *n)
{
    n->unloadable = count_threads(n->interp) == 1;
    become_main_thread();
    Py_FinalizeEx();
}
