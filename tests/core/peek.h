// SPDX-License-Identifier: MIT
//
// A look inside a channel, so that a test can know that another thread is parked on it.
#ifndef PEEK_H
#define PEEK_H

#include "channel.h"
#include "tap.h"

static inline size_t
peek_waiting(subi_channel *c, subi_end end)
{
    subi__waitlist *l = end == SUBI_SEND ? &c->senders : &c->receivers;
    size_t n = 0;
    subi__lock_acquire(&c->lock);
    for (subi__node *node = l->sentinel.next; node != &l->sentinel; node = node->next) {
        n++;
    }
    subi__lock_release(&c->lock);
    return n;
}

// Waits until `count` operations are linked on that end.
static inline void
await_waiting(subi_channel *c, subi_end end, size_t count)
{
    await(peek_waiting(c, end) == count);
}

#endif
