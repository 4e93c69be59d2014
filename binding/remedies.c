// SPDX-License-Identifier: MIT
#define Py_BUILD_CORE_MODULE
#include "remedies.h"

#include <pthread.h>

#include "internal/pycore_interp.h"
#include "internal/pycore_runtime.h"

// In the child of a fork, CPython clears all other interpreters, without the thread states it
// would need for that, and crashes (python/cpython 139759). So they are taken out of its list
// before it looks: what they own is lost, as are the threads that ran them.
static void
keep_main_interpreter_only(void)
{
    PyInterpreterState *main = _PyRuntime.interpreters.main;
    if (main != NULL) {
        _PyRuntime.interpreters.head = main;
        main->next = NULL;
    }
}

static int registered;  // guarded by once
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
register_handler(void)
{
    registered = pthread_atfork(NULL, NULL, keep_main_interpreter_only) == 0;
}

int
subi_remedies_init(void)
{
    pthread_once(&once, register_handler);
    if (!registered) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

// At its end the process also ends the interpreters that are left (CPython 3.14 and newer). One whose
// memory is in use must not be.
void
subi_remedies_leave(PyInterpreterState *interp)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyMutex_Lock(&_PyRuntime.interpreters.mutex);
#else
    PyThread_acquire_lock(_PyRuntime.interpreters.mutex, WAIT_LOCK);
#endif
    PyInterpreterState **link = &_PyRuntime.interpreters.head;
    while (*link != NULL && *link != interp) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        *link = interp->next;
    }
#if PY_VERSION_HEX >= 0x030D0000
    PyMutex_Unlock(&_PyRuntime.interpreters.mutex);
#else
    PyThread_release_lock(_PyRuntime.interpreters.mutex);
#endif
}

// An extension module that has static types must be initialised in the main interpreter first. On
// 3.12 an interpreter with a GIL of its own otherwise initialises a module, and only then refuses
// it: its types are then left with memory of an interpreter that is gone. On 3.13 several that
// import _datetime at once race (python/cpython 136421).
void
subi_remedies_before_first(void)
{
#if SUBI_HAS_PEP_684 && PY_VERSION_HEX < 0x030E0000
    static const char *const names[] = {
        "_datetime",
#if PY_VERSION_HEX < 0x030D0000
        "_ctypes",   "_decimal", "_elementtree", "_lsprof", "pyexpat",
#endif
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        Py_XDECREF(PyImport_ImportModule(names[i]));
        PyErr_Clear();  // a Python that was built without it
    }
#endif
}

// On 3.12 each C function that takes keywords keeps their names, in a tuple made by the interpreter
// that called it first; finalization frees them all as if the main interpreter had made them, which
// aborts. Its memory is not returned to the system before the end, so they may as well stay.
void
subi_remedies_at_exit(void)
{
#if SUBI_HAS_PEP_684 && PY_VERSION_HEX < 0x030D0000
    struct _PyArg_Parser *parser = _PyRuntime.getargs.static_parsers;
    for (; parser != NULL; parser = parser->next) {
        if (parser->kwtuple != NULL) {
            parser->kwtuple->ob_refcnt = _Py_IMMORTAL_REFCNT;
        }
    }
#endif
}
