// SPDX-License-Identifier: MIT
//
// One shape for all blocking on channels and locks (sync.h): try; link nodes of the waiting thread
// into the wait lists of the channels; park; resolve. A wait and its nodes live on the waiter's
// stack.
//
// Whoever can complete an operation for a waiter (the waker) claims the wait, moves the message,
// stores the result in the node and only then sets the word, all under the lock of the node's
// channel. So a waiter that holds the locks of its channels sees either no winner or a finished
// operation, and a waiter that sees the word set may leave at once.
#ifndef SUBI_WAIT_H
#define SUBI_WAIT_H

#include <stdatomic.h>

#include "subinterp.h"

typedef struct subi__node subi__node;

// One blocked thread.
typedef struct subi__wait {
    _Atomic(subi__node *) winner;  // atomic: set once, by the waker that claims the wait
    _Atomic uint32_t word;  // atomic: see wait.c; release by the waker, acquire by the waiter
} subi__wait;

// One operation that the thread is blocked on. Guarded by the lock of its channel, or what is in
// the place of one.
struct subi__node {
    subi__node *next, *prev;  // in the wait list of the channel; NULL, NULL when not linked
    subi__wait *wait;
    subi_message *message;  // to send from or to receive into; channels only
    subi_result result;     // of the operation, once this node is the winner
};

// A circular list through the sentinel.
typedef struct subi__waitlist {
    subi__node sentinel;
} subi__waitlist;

static inline void
subi__waitlist_init(subi__waitlist *l)
{
    l->sentinel.next = l->sentinel.prev = &l->sentinel;
}

static inline bool
subi__waitlist_empty(const subi__waitlist *l)
{
    return l->sentinel.next == &l->sentinel;
}

void subi__waitlist_link(subi__waitlist *l, subi__node *n);        // at the end
void subi__waitlist_link_first(subi__waitlist *l, subi__node *n);  // at the front
void subi__node_unlink(subi__node *n);                             // no effect when not linked

// Unlinks n and claims its wait. False: another channel has claimed that.
bool subi__node_claim(subi__node *n);

// Unlinks and returns the first node whose wait could be claimed, or NULL. Nodes of waits that
// another channel has claimed are unlinked on the way.
subi__node *subi__waitlist_claim(subi__waitlist *l);

// Finishes a claimed operation. Its wait may be gone when this returns: pass the returned address,
// NULL when the waiter needs no waking, to subi__wake after the lock was released, and do not look
// at it.
_Atomic uint32_t *subi__node_finish(subi__node *n, subi_result result);
void subi__wake(_Atomic uint32_t *word);  // NULL is allowed

static inline void
subi__wait_init(subi__wait *w)
{
    atomic_init(&w->winner, NULL);
    atomic_init(&w->word, 0);
}

// Makes a thread that sleeps on w return SUBI_INTERRUPTED, if it is not being woken.
void subi__wait_disturb(subi__wait *w);

// Spins for as long as that has been paying off on this thread, then sleeps, until the word is set.
// SUBI_OK (the word is set), SUBI_TIMEOUT, SUBI_INTERRUPTED.
subi_result subi__park(subi__wait *w, int64_t deadline);

#endif
