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
    return __atomic_load_n(pending, __ATOMIC_RELAXED) != 0;
}

void
subi_signals_init(void)
{
    subi_signals_set(are_pending);
}

int
subi_signals_handle(void)
{
#if PY_VERSION_HEX < 0x030C0000
    // there it is the interpreter loop's, which clears it first as well
    bool came = __atomic_exchange_n(pending, 0, __ATOMIC_SEQ_CST) != 0;
#endif
    int result = PyErr_CheckSignals();
#if PY_VERSION_HEX < 0x030C0000
    if (came && result < 0) {  // there may be more
        __atomic_store_n(pending, 1, __ATOMIC_SEQ_CST);
    }
#endif
    if (result == 0 && are_pending()) {  // in an interpreter that does not handle them
        subi_signals_leave();
    }
    return result;
}
