// SPDX-License-Identifier: MIT
//
// Admission to work that keeps a processor busy: at most `limit` at a time, first come first
// served. Work that has a place is either inside, until it leaves, or a guest, which loses its
// place by itself after a time: it may be waiting for something, and must not keep others out.
#ifndef SUBI_GATE_H
#define SUBI_GATE_H

#include "lock.h"
#include "subinterp_runtime.h"

// A place that runs out. Lives with whoever has it; zeroed while it is nobody's.
typedef struct subi__guest {
    struct subi__guest *next, *prev;  // guarded by the gate's lock; NULL, NULL when not a guest
    int64_t until;
} subi__guest;

typedef struct subi__queued subi__queued;  // a thread that waits, on its stack

// A thread waits only while inside + guests >= limit.
typedef struct subi__gate {
    subi__lock lock;
    size_t limit;         // set once
    size_t inside;        // guarded by lock, as all that follows
    size_t guests;        // in the list
    subi__guest list;     // circular, the one whose place runs out first is next
    subi__queued *first;  // waiting threads
    subi__queued **last;  // the link that ends the list
} subi__gate;

void subi__gate_init(subi__gate *g, size_t limit);
void subi__gate_enter(subi__gate *g);  // blocks, and does not care about signals
void subi__gate_leave(subi__gate *g);

// Takes a place, whether there is one or not, for at most `time` nanoseconds from now. A guest that
// has one already keeps it for that time instead.
void subi__gate_host(subi__gate *g, subi__guest *guest, int64_t time);

// Gives it back, if it has not run out.
void subi__gate_unhost(subi__gate *g, subi__guest *guest);

#endif
