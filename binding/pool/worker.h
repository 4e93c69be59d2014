// SPDX-License-Identifier: MIT
//
// The worker of a pool: a run of an interpreter that performs tasks, until there will be none.
#ifndef SUBI_WORKER_H
#define SUBI_WORKER_H

#include "backend.h"
#include "pool.h"

typedef enum worker_end {
    WORKER_CLOSED,    // there are no more tasks, and will be none
    WORKER_USED_UP,   // it has performed as many as it may
    WORKER_GIVEN_UP,  // it did not react, and another one has its place
    WORKER_REFUSED,   // a call needs an extension module that cannot be imported in its interpreter
    WORKER_SPOILT,    // a call was interrupted while it imported a package, parts of which are left
} worker_end;

// What a run is to do as a worker; see run.h.
typedef struct worker_order {
    pool *pool;
    void *owner;    // the pool's object, for its runtime
    uint64_t most;  // so many calls; 0: no limit
    bool gives_up;  // whether it ends with WORKER_REFUSED
    task *again;    // done first; at the end, what it could not do, or NULL
    worker_end end;
} worker_order;

// In the run, attached. -1 with an exception, such as SystemExit when the interpreter is closed.
int subi_worker_serve(native *n, worker_order *order);

#endif
