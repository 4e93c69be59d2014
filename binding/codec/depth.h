// SPDX-License-Identifier: MIT
//
// How deep containers may be in one another.
#ifndef SUBI_DEPTH_H
#define SUBI_DEPTH_H

#include "state.h"

// Containers so deep in others are not worth a look at the C stack.
#define FREE_DEPTH 8

// Before 3.12 CPython's limit is that of sys.setrecursionlimit(), which can be anything.
#define DEPTH_MAX 5000

// Before the next deeper one, which `depth` others are around. False: RecursionError.
static inline bool
subi_depth_enter(unsigned depth, const char *doing)
{
    if (depth < FREE_DEPTH) {
        return true;
    }
#if PY_VERSION_HEX < 0x030C0000
    if (depth >= DEPTH_MAX) {
        PyErr_Format(PyExc_RecursionError, "more than %d containers in one another%s", DEPTH_MAX,
                     doing);
        return false;
    }
#endif
    return Py_EnterRecursiveCall(doing) == 0;
}

static inline void
subi_depth_leave(unsigned depth)
{
    if (depth >= FREE_DEPTH) {
        Py_LeaveRecursiveCall();
    }
}

#endif
