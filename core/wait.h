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
//
// A wait of an event loop (notify.c) is in the same lists, but nothing is done for it: it is told
// to try again, and what it needs for that is reserved until it does.
#ifndef SUBI_WAIT_H
#define SUBI_WAIT_H

#include <stdatomic.h>

#include "subinterp.h"

typedef struct subi__node subi__node;

// One blocked thread, or one operation of an event loop.
typedef struct subi__wait {
    _Atomic(subi__node *) winner;  // atomic: set once, by the waker that claims the wait
    _Atomic uint32_t word;  // atomic: see wait.c; release by the waker, acquire by the waiter
    subi_waiter *waiter;    // set once: the event loop's; NULL: a thread's, which has the word
} subi__wait;

// One operation that is waited for. Guarded by the lock of its channel, or what is in the place of one.
struct subi__node {
    subi__node *next, *prev;  // in the wait list of the channel; NULL, NULL when not linked
    subi__wait *wait;
    subi_message *
        message;  // to send from or to receive into, channels only; an event loop's is its own business
    // Once this node is the winner: of the operation. SUBI_EMPTY: nothing was done, try again. An
    // event loop is told SUBI_OK when something is reserved for it.
    subi_result result;
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

// Whether it has more than n nodes.
static inline bool
subi__waitlist_longer(const subi__waitlist *l, size_t n)
{
    const subi__node *node = l->sentinel.next;
    while (n > 0 && node != &l->sentinel) {
        node = node->next;
        n--;
    }
    return node != &l->sentinel;
}

static inline bool
subi__node_is_told(const subi__node *n)
{
    return n->wait->waiter != NULL;
}

void subi__waitlist_link(subi__waitlist *l, subi__node *n);        // at the end
void subi__waitlist_link_first(subi__waitlist *l, subi__node *n);  // at the front
void subi__node_unlink(subi__node *n);                             // no effect when not linked

// Unlinks the node and claims its wait. False: another channel has claimed it.
bool subi__node_claim(subi__node *n);

// The first node whose wait nobody has claimed yet, or NULL. Others are unlinked on the way.
subi__node *subi__waitlist_first(subi__waitlist *l);

// Unlinks and returns the first node whose wait could be claimed, or NULL; not one of the wait
// `but`. Nodes of waits that another channel has claimed are unlinked on the way.
subi__node *subi__waitlist_claim(subi__waitlist *l, const subi__wait *but);

// Whom to wake once the locks were released.
#define SUBI__WAKES_MAX 3
typedef struct subi__wakes {
    size_t count;
    struct {
        _Atomic uint32_t *word;   // of a thread that sleeps, or
        subi_notifier *notifier;  // one reference
    } items[SUBI__WAKES_MAX];
} subi__wakes;

// Adds one of the two. When there is no place left, that one is woken at once.
void subi__wakes_add(subi__wakes *w, _Atomic uint32_t *word, subi_notifier *notifier);
void subi__wake(subi__wakes *w);

// Finishes a claimed operation. Its wait may be gone when this returns: do not look at it.
void subi__node_finish(subi__node *n, subi_result result, subi__wakes *wakes);

static inline void
subi__wait_init(subi__wait *w)
{
    atomic_init(&w->winner, NULL);
    atomic_init(&w->word, 0);
    w->waiter = NULL;
}

// Makes a thread that sleeps on w return SUBI_INTERRUPTED, if it is not being woken.
void subi__wait_disturb(subi__wait *w);

// Spins for as long as that has been paying off on this thread, then sleeps, until the word is set.
// SUBI_OK (the word is set), SUBI_TIMEOUT, SUBI_INTERRUPTED, SUBI_NOMEM.
subi_result subi__park(subi__wait *w, int64_t deadline);

#endif
