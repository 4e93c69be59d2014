// SPDX-License-Identifier: MIT
//
// What CPython 3.11 lacks, or calls by another name.
#ifndef SUBI_COMPAT_H
#define SUBI_COMPAT_H

#include <Python.h>

// PEP 684: interpreters that are made from a configuration, with a GIL of their own if wanted.
#define SUBI_HAS_PEP_684 (PY_VERSION_HEX >= 0x030C0000)

// The last of a module's slots: it may be in an interpreter with a GIL of its own. Before PEP 684
// no module is asked, and this is the end already.
#if SUBI_HAS_PEP_684
#define SUBI_OWN_GIL_SLOT {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED}
#else
#define SUBI_OWN_GIL_SLOT {0, NULL}
#endif

// What a thread state may still use up of the C stack, in calls: 3.11 counts those of Python code
// with them. From 3.14 on CPython looks at the stack itself.
#if PY_VERSION_HEX < 0x030C0000
#define SUBI_C_RECURSION_LEFT(tstate) ((tstate)->recursion_remaining)
#elif PY_VERSION_HEX < 0x030E0000
#define SUBI_C_RECURSION_LEFT(tstate) ((tstate)->c_recursion_remaining)
#endif

#if PY_VERSION_HEX < 0x030D0000
#define PyThreadState_GetUnchecked _PyThreadState_UncheckedGet
#endif

#if PY_VERSION_HEX < 0x030C0000

static inline PyObject *
PyErr_GetRaisedException(void)
{
    PyObject *type, *exc, *traceback;
    PyErr_Fetch(&type, &exc, &traceback);
    if (type != NULL) {
        PyErr_NormalizeException(&type, &exc, &traceback);
    }
    if (traceback != NULL) {
        PyException_SetTraceback(exc, traceback);
    }
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return exc;
}

// Steals exc; NULL: none is set any more.
static inline void
PyErr_SetRaisedException(PyObject *exc)
{
    PyObject *type = exc != NULL ? Py_NewRef((PyObject *)Py_TYPE(exc)) : NULL;
    PyErr_Restore(type, exc, exc != NULL ? PyException_GetTraceback(exc) : NULL);
}

#endif

#endif
