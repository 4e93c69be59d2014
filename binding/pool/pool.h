// SPDX-License-Identifier: MIT
//
// What the workers of a pool share with who submits: one queue of tasks, and the way back.
#ifndef SUBI_POOL_H
#define SUBI_POOL_H

#include "task.h"

// The label of a pool's channels, which are nobody else's: lists do not show them.
#define POOL_LABEL UINT64_C(0x70)

typedef struct pool {
    _Atomic unsigned references;  // atomic: the last one frees it
    subi_channel *tasks;          // to workers; when it is closed for sending, they end
    subi_channel *done;           // what they have performed, to whoever waits for it
    subi_channel *later;      // the same, for the thread that completes futures; none: look around
    _Atomic bool called;      // atomic; whether there is one to look around in `later`
    _Atomic bool is_fetched;  // atomic; whether results are fetched by who waits for them
    _Atomic bool announced;   // atomic; whether Pool's `performed` has been called, or need not be
    _Atomic unsigned refusals;   // atomic; how often it has refused what waits
    _Atomic size_t load;         // atomic; tasks that workers have, or will have
    _Atomic size_t busy;         // atomic; workers that perform one
    _Atomic uint64_t performed;  // atomic; calls, also those of maps, that have ended
    _Atomic uint64_t failed;     // atomic; by an exception, of these
} pool;

// NULL: out of memory; no exception.
pool *subi_pool_new(void);
void subi_pool_hold(pool *p);

// No task must be left in it.
void subi_pool_drop(pool *p);

// Takes the reference to t, unless the result is not SUBI_OK.
subi_result subi_pool_send(subi_channel *c, task *t);

// The same for what must not get lost: while there is no memory it waits.
subi_result subi_pool_send_surely(subi_channel *c, task *t);

// Lets the thread that completes futures look around: for what is done, and for deadlines.
void subi_pool_call(pool *p);

// The next task, without waiting; a reference. NULL: there is none.
task *subi_pool_take(subi_channel *c);

#endif
