// SPDX-License-Identifier: MIT
//
// The kinds of interpreters that can be made: one table of functions each. Everything above is the
// same for all of them.
#ifndef SUBI_BACKEND_H
#define SUBI_BACKEND_H

#include "state.h"

struct birth;
struct kept_thread_state;

// The binding's part of an interpreter's record (subi_interp_data). Touched only by the thread
// that has the interpreter in state RUNNING or CLOSING, so it needs no lock of its own.
typedef struct native {
    const struct backend *backend;
    PyInterpreterState *interp;
    struct birth *birth;             // renew.c: the state it was born with; NULL: not noted
    struct kept_thread_state *kept;  // thread_state.c: this interpreter's thread states
    PyThreadState *current;          // of the run in progress, else NULL
    PyThreadState *outer;            // the caller's thread state during a run; NULL: it had none
    PyObject *signal;                // an exception that belongs to outer's interpreter, or NULL
} native;

typedef struct backend {
    const char *name;  // the value of `isolation`
    subi_kind kind;
    bool renewable;  // whether renew.c knows all that can change in such an interpreter

    // Makes the interpreter. The calling thread has no thread state and no GIL, before and after.
    // *kept by thread_state.c gets the new thread state. On failure *error is a static string.
    int (*create)(native *n, const char **error);

    // Ends the interpreter, whose other threads have ended. The calling thread is attached to it
    // with its last thread state, and has none afterwards.
    void (*end)(native *n, PyThreadState *last);
} backend;

// The backend with that name, the default one for NULL. NULL with ValueError: there is none, and
// the message says which there are.
const backend *subi_backend_find(const char *name);

// The isolation of an interpreter as a user sees it.
const char *subi_kind_name(subi_kind kind);

#endif
