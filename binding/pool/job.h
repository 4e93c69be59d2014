// SPDX-License-Identifier: MIT
//
// A map: calls of one thing with many arguments, whose results are wanted in order. Workers take the items by
// themselves, as many as they can do, so that a long one delays no other; the submitter is told only when
// the item that it waits for is done.
//
//     consumed <= next <= count <= consumed + capacity
//
// item k is in items[k % capacity]. The submitter adds items, `count`, and consumes results, `consumed`;
// workers take items, `next`.
#ifndef SUBI_JOB_H
#define SUBI_JOB_H

#include <stdatomic.h>

#include "callee.h"
#include "failure.h"

typedef enum item_state {
    ITEM_WAITING,
    ITEM_SUCCEEDED,
    ITEM_FAILED,
    ITEM_RETURNED,  // whoever had taken it could not do it
} item_state;

typedef struct item {
    _Atomic int state;     // atomic: release by the worker, acquire by the submitter
    subi_message message;  // the arguments, a tuple; then what the call returned
    subi_failure *failure;
} item;

typedef struct job {
    _Atomic unsigned references;  // atomic: the last one frees it
    callee *callee;
    unsigned refusals;       // set once: how often the pool had refused what waits when it was made
    size_t capacity, chunk;  // set once; a chunk is what a worker takes at once, 0: as it sees fit
    item *items;
    _Atomic size_t next;       // atomic: by compare and swap
    _Atomic size_t count;      // atomic: release by the submitter, acquire by workers
    _Atomic size_t returned;   // atomic; how many are ITEM_RETURNED, or about to be taken again
    _Atomic size_t finished;   // atomic; how many are done
    _Atomic size_t awaited;    // atomic; the item that the submitter waits for; SIZE_MAX: none
    _Atomic bool tells_all;    // atomic; it wants to know of each that is done
    _Atomic bool cancelled;    // atomic; no more is to be taken
    _Atomic bool lost;         // atomic; some will never be done
    _Atomic unsigned workers;  // atomic; how many tasks there are for it
    subi_channel *ready;       // wakes the submitter; of capacity 1
} job;

// For so many items at a time. Takes the caller's reference to c, also if it returns NULL: out of memory.
job *subi_job_new(callee *c, size_t capacity, size_t chunk);
void subi_job_hold(job *j);
void subi_job_drop(job *j);

// By the submitter, when there is room for another item: takes arguments.
void subi_job_add(job *j, subi_message *arguments);

// By a worker: takes up to `most` items. Returns how many, the first one in *first.
size_t subi_job_take(job *j, size_t most, size_t *first);

// By a worker: another one is to do it. Its arguments are still there.
void subi_job_return(job *j, size_t k);

// Its outcome is there.
void subi_job_finish(job *j, size_t k, item_state state);

// When a worker finds nothing to take: true, it is none of its workers any more.
bool subi_job_leave(job *j);

// No more is taken; and with lost, what is not done will not be.
void subi_job_cancel(job *j, bool lost);

static inline item *
subi_job_item(job *j, size_t k)
{
    return &j->items[k % j->capacity];
}

#endif
