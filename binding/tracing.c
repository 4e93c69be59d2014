// SPDX-License-Identifier: MIT
#include "tracing.h"

#include "lifecycle.h"

#if SUBI_HAS_PEP_684 && PY_VERSION_HEX < 0x030F0000

bool
subi_tracing_forbids(subi_kind kind)
{
    const int not_tracing = -2;
    return kind != SUBI_KIND_PRIVATE && PyTraceMalloc_Untrack(0, 0) != not_tracing;
}

// Also when those that were closed are gone from the reserve, where they may have been put meanwhile.
static bool
is_any_left(void)
{
    if (subi_interp_any_in_main_runtime()) {
        return true;
    }
    subi_lifecycle_trim_reserve(true);
    return subi_interp_any_in_main_runtime();
}

// For tracemalloc.start(); self is the original.
static PyObject *
start(PyObject *self, PyObject *args)
{
    PyObject *result = NULL;
    Py_BEGIN_ALLOW_THREADS
    subi_reserve_pause(SUBI_FOREVER);  // the making of one ends
    Py_END_ALLOW_THREADS
    if (is_any_left()) {
        PyErr_SetString(PyExc_RuntimeError,
                        "before CPython 3.15 memory cannot be traced while there are interpreters "
                        "that share its runtime: close them, or use isolation='private'");
    }
    else {
        result = PyObject_Call(self, args, NULL);
    }
    subi_reserve_resume();
    return result;
}

static bool
is_guarded(PyObject *function)
{
    return PyCFunction_Check(function) && PyCFunction_GetFunction(function) == start;
}

// tracemalloc has all of _tracemalloc's names, if it has been imported.
static int
replace(PyObject *module, PyObject *function)
{
    PyObject *name = PyUnicode_FromString("tracemalloc");
    PyObject *facade = name != NULL ? PyImport_GetModule(name) : NULL;
    int r = PyObject_SetAttrString(module, "start", function);
    if (r == 0 && facade != NULL) {
        r = PyObject_SetAttrString(facade, "start", function);
    }
    Py_XDECREF(facade);
    Py_XDECREF(name);
    return PyErr_Occurred() ? -1 : r;
}

int
subi_tracing_guard(module_state *state)
{
    static PyMethodDef def = {
        "start", start, METH_VARARGS,
        "start($module, nframe=1, /)\n--\n\nStart tracing Python memory allocations."};
    if (subi_interp_kind(state->self) != SUBI_KIND_MAIN) {
        return 0;
    }
    PyObject *module = PyImport_ImportModule("_tracemalloc");
    PyObject *original = module != NULL ? PyObject_GetAttrString(module, "start") : NULL;
    int r = original != NULL ? 0 : -1;
    if (r == 0 && !is_guarded(original)) {
        PyObject *guarded = PyCFunction_New(&def, original);
        r = guarded != NULL ? replace(module, guarded) : -1;
        Py_XDECREF(guarded);
    }
    Py_XDECREF(original);
    Py_XDECREF(module);
    return r;
}

#else

bool
subi_tracing_forbids(subi_kind kind)
{
    return false;
}

int
subi_tracing_guard(module_state *state)
{
    return 0;
}

#endif
