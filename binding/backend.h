// SPDX-License-Identifier: MIT
//
// The kinds of interpreters that can be made: one table of functions each. Everything above is the
// same for all of them.
#ifndef SUBI_BACKEND_H
#define SUBI_BACKEND_H

#include <stdatomic.h>

#include "script.h"
#include "state.h"

struct birth;
struct creation;
struct heap;
struct kept_thread_state;
struct runtime;

// The binding's part of an interpreter's record (subi_interp_data). Touched only by the thread
// that has the interpreter in state RUNNING or CLOSING, so it needs no lock of its own.
typedef struct native {
    const struct backend *backend;
    const struct runtime *runtime;  // the one it is in
    PyInterpreterState *interp;
    subi_slot *slot;                 // of a private one, else NULL
    struct heap *heap;               // of a private one: its memory; NULL: not known
    bool unloadable;                 // whether its slot's copies can be unloaded when it has ended
    subi_make make;                  // what it was made with
    struct birth *birth;             // renew.c: the state it was born with; NULL: not noted
    struct kept_thread_state *kept;  // thread_state.c: this interpreter's thread states
    last_script script;              // that a run has compiled
    subi_message inheritance;        // what it has got of whoever made it; kept if it has a birth
    bool prepared;                   // whether it has that already in its next life
    PyObject *module;                // ours, made ahead: see state_making.h; NULL: it is not
    PyThreadState *current;          // of the run in progress, else NULL
    subi_thread *runner;             // its thread; borrowed
    bool interrupted;                // whether it has been
    int64_t undisturbed;             // until then it is not interrupted again; see run.h
    _Atomic bool import_refused;     // atomic: see import_error.h; set by any of its threads
    bool exiting;                    // whether it has been told to end, with SystemExit
    _Atomic uint64_t runs;           // atomic: how many there were, with the one in progress
    _Atomic size_t
        visitors;          // atomic: interrupt.c: thread states that wait for its GIL to visit it
    PyThreadState *outer;  // the caller's thread state during a run; NULL: it had none
    const struct runtime *outer_runtime;  // the one that outer belongs to
    unsigned
        output;  // of the run in progress: streams of which output goes to the caller; output.h
    uint32_t signals_seen;  // how many SIGINTs there were when a wait raised for one
    PyObject *signal;       // an exception that belongs to outer's interpreter, or NULL
} native;

// What became of an interpreter that was closed.
typedef enum ending {
    ENDED,
    RENEWED,  // it is as new, and may be used again
    LINGERS,  // others have buffers of it
} ending;

typedef struct backend {
    const char *name;  // the value of `isolation`
    subi_kind kind;
    bool renewable;  // whether renew.c knows all that can change in such an interpreter
    bool alone;      // whether such interpreters have to be made and ended one at a time

    // With the GIL, in any runtime: what has to be known before one can be made. -1 with an
    // exception. May be NULL.
    int (*prepare)(module_state *state);

    // In the main runtime: makes the interpreter. The calling thread has no thread state and no GIL,
    // before and after. n->kept gets the new thread state. -1: c->error says why.
    int (*create)(native *n, struct creation *c);

    // After the interpreter ended, in any runtime but its own. May be NULL.
    void (*discard)(native *n);
} backend;

// The backend with that name, the default one for NULL, the one that isolation.h finds for "auto". NULL with ValueError (there is none, and
// the message says which there are) or InterpreterError (this Python cannot have it).
const backend *subi_backend_find(module_state *state, const char *name);

// The backend of a kind that can be made. Each runtime has backends of its own.
const backend *subi_backend_of(subi_kind kind);

// The isolation of an interpreter as a user sees it.
const char *subi_kind_name(subi_kind kind);

#endif
