// SPDX-License-Identifier: MIT
#define Py_BUILD_CORE_MODULE
#include "pending_signals.h"

#include "compat.h"
#include "internal/pycore_runtime.h"
#include "subinterp_runtime.h"

#if PY_VERSION_HEX >= 0x030C0000
static int *const pending = (int *)&_PyRuntime.signals.is_tripped;
#else
static int *const pending = (int *)&_PyRuntime.ceval.signals_pending;
#endif

static bool
are_pending(void)
{
    return __atomic_load_n(pending, __ATOMIC_RELAXED) != 0 &&
           PyThread_get_thread_ident() == _PyRuntime.main_thread;
}

void
subi_signals_init(void)
{
    subi_signals_set(are_pending);
}

int
subi_signals_handle(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_CheckSignals();
#else
    // there it is the interpreter loop's, which clears it before it looks for signals, too
    bool handles = PyThread_get_thread_ident() == _PyRuntime.main_thread &&
                   PyInterpreterState_Get() == PyInterpreterState_Main();
    bool came = handles && __atomic_exchange_n(pending, 0, __ATOMIC_SEQ_CST) != 0;
    int result = PyErr_CheckSignals();
    if (came && result < 0) {  // there may be more
        __atomic_store_n(pending, 1, __ATOMIC_SEQ_CST);
    }
    return result;
#endif
}
