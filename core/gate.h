// SPDX-License-Identifier: MIT
//
// A counting semaphore, first come first served: it lets `limit` threads in at a time.
#ifndef SUBI_GATE_H
#define SUBI_GATE_H

#include "lock.h"
#include "wait.h"

// inside <= limit, and waiters is empty while inside < limit
typedef struct subi__gate {
    subi__lock lock;
    size_t limit;            // guarded by lock, as all that follows
    size_t inside;
    subi__waitlist waiters;
} subi__gate;

void subi__gate_init(subi__gate *g, size_t limit);
void subi__gate_enter(subi__gate *g);  // blocks, and does not care about signals
void subi__gate_leave(subi__gate *g);

#endif
