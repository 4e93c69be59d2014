// SPDX-License-Identifier: MIT
//
// The type Pool: a pool in the interpreter that submits to it. What only that interpreter knows of its tasks
// is here: futures, deadlines, what has been encoded last.
#ifndef SUBI_POOL_TYPE_H
#define SUBI_POOL_TYPE_H

#include "backend.h"
#include "pool.h"

// A thread that is a worker right now, on that thread's stack.
typedef struct at_work {
    subi_thread *thread;
    struct at_work *next;
} at_work;

typedef struct pool_object {
    PyObject_HEAD
    pool *pool;
    callees callees;
    at_work *at_work;
    task *timed;             // see deadlines.c
    int64_t next_look;       // when that has to look; SUBI_FOREVER: it need not
    task *again;             // calls that their workers could not do; a reference each
    uint32_t generation;     // of the process that it was made in
    unsigned telling;        // threads that give futures their outcome, and call their callbacks
    subi_thread *completer;  // the thread in complete(), borrowed; NULL: none
    PyObject *lost;          // called when a worker is given up, with the ident of its thread
    PyObject *more;          // called when there is more work
    PyObject *performed;     // called when the first call with a future has been performed
    PyObject *refused;       // makes the exception of what is refused; NULL: that is cancelled
    uint64_t submitted, cancelled, timed_out, given_up;
} pool_object;

int subi_pool_type_init(module_state *state);

// A worker must not wait for its own pool, which may have no other: -1 with an exception when the calling
// thread is one.
int subi_pool_may_wait(module_state *state, const pool_object *po);

// See runtime.h.
void subi_pool_announce_here(native *n, void *object);

// Says why no task could be sent.
void subi_pool_raise(module_state *state, subi_result r);

// What waits for the thread in complete(), which is the caller's.
void subi_pool_complete_later(module_state *state, pool_object *po);

#endif
