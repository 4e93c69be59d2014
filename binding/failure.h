// SPDX-License-Identifier: MIT
//
// An exception that ends a run, on its way out of the interpreter: as text, which always works, and if
// it is wanted and can be sent, as the object that it was.
#ifndef SUBI_FAILURE_H
#define SUBI_FAILURE_H

#include "state.h"

typedef struct subi_failure {
    subi_message text;       // a tuple of str or None, see below; none: there was no memory for it
    subi_message exception;  // with has_exception
    bool has_exception;
} subi_failure;

// Items of the tuple in `text`.
enum {
    FAILURE_TYPE_STR,   // str(type(exc)): "<class 'ValueError'>"
    FAILURE_NAME,       // type(exc).__name__
    FAILURE_QUALNAME,   // type(exc).__qualname__
    FAILURE_MODULE,     // type(exc).__module__
    FAILURE_MSG,        // str(exc)
    FAILURE_TRACEBACK,  // as traceback.format_exception; None when not wanted or not possible
    FAILURE_SIZE,
};

// What of an exception is wanted besides what it costs little to have.
typedef enum failure_parts {
    FAILURE_BRIEF,           // no traceback
    FAILURE_WITH_TRACEBACK,  // for people
    FAILURE_WITH_EXCEPTION,  // and the object itself
} failure_parts;

// In the interpreter that it was raised in: takes the exception that is set.
void subi_failure_capture(subi_failure *f, failure_parts parts);

// In the caller's interpreter: the text as a Python tuple, also when memory was short.
PyObject *subi_failure_items(module_state *state, const subi_failure *f);

// In the caller's interpreter: raises the exception that was captured, with an ExecutionFailed as its
// cause; or ExecutionFailed, if the exception was not wanted or cannot be had. Returns NULL.
PyObject *subi_failure_raise(module_state *state, const subi_failure *f);

void subi_failure_fini(subi_failure *f);

#endif
