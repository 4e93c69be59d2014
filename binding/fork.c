// SPDX-License-Identifier: MIT
//
// In the child of a fork, CPython clears all other interpreters, without the thread states it
// would need for that, and crashes (python/cpython 139759). So they are taken out of its list
// before it looks: what they own is lost, as are the threads that ran them.
#define Py_BUILD_CORE_MODULE
#include "fork.h"

#include <pthread.h>

#include "internal/pycore_interp.h"
#include "internal/pycore_runtime.h"

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
subi_fork_init(void)
{
    pthread_once(&once, register_handler);
    if (!registered) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}
