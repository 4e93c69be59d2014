// SPDX-License-Identifier: MIT
#include "gate.h"

#include "platform.h"

struct subi__queued {
    subi__queued *next;
    _Atomic uint32_t word;  // atomic: 1 asks the thread to look again; a futex
};

void
subi__gate_init(subi__gate *g, size_t limit)
{
    subi__lock_init(&g->lock);
    g->limit = limit;
    g->inside = 0;
    g->guests = 0;
    g->list.next = g->list.prev = &g->list;
    g->first = NULL;
    g->last = &g->first;
}

// ---- guests; all of these want the lock -------------------------------------------------------

static void
remove_guest(subi__gate *g, subi__guest *guest)
{
    if (guest->next != NULL) {
        guest->next->prev = guest->prev;
        guest->prev->next = guest->next;
        guest->next = guest->prev = NULL;
        g->guests--;
    }
}

static bool
has_place(subi__gate *g)
{
    while (g->guests > 0 && g->list.next->until <= subi_now()) {
        remove_guest(g, g->list.next);
    }
    return g->inside + g->guests < g->limit;
}

// When a place may become free without anybody saying so.
static int64_t
next_place(const subi__gate *g)
{
    return g->guests > 0 ? g->list.next->until : SUBI_FOREVER;
}

static void
ask_first(subi__gate *g)
{
    if (g->first != NULL) {
        // under the lock: the thread cannot be gone, it takes the lock before it leaves the queue
        atomic_store(&g->first->word, 1);
        subi__futex_wake(&g->first->word, 1);
    }
}

// ---- the gate ---------------------------------------------------------------------------------

// Wants the lock, and has it again afterwards.
static void
wait_in_queue(subi__gate *g)
{
    subi__queued me = {.next = NULL};
    *g->last = &me;
    g->last = &me.next;
    while (g->first != &me || !has_place(g)) {
        int64_t deadline = g->first == &me ? next_place(g) : SUBI_FOREVER;
        atomic_store(&me.word, 0);
        subi__lock_release(&g->lock);
        subi__futex_wait(&me.word, 0, deadline);
        subi__lock_acquire(&g->lock);
    }
    g->first = me.next;
    if (g->first == NULL) {
        g->last = &g->first;
    }
}

void
subi__gate_enter(subi__gate *g)
{
    subi__lock_acquire(&g->lock);
    if (g->first != NULL || !has_place(g)) {
        wait_in_queue(g);
    }
    g->inside++;
    ask_first(g);  // there may be a place for the next one, too
    subi__lock_release(&g->lock);
}

void
subi__gate_leave(subi__gate *g)
{
    subi__lock_acquire(&g->lock);
    g->inside--;
    ask_first(g);
    subi__lock_release(&g->lock);
}

void
subi__gate_host(subi__gate *g, subi__guest *guest, int64_t time)
{
    subi__lock_acquire(&g->lock);
    remove_guest(g, guest);
    guest->until = subi_now() + time;
    subi__guest *before = g->list.prev;
    while (before != &g->list && before->until > guest->until) {
        before = before->prev;
    }
    guest->prev = before;
    guest->next = before->next;
    guest->prev->next = guest->next->prev = guest;
    g->guests++;
    ask_first(g);  // its place may run out sooner than the first in the queue thinks
    subi__lock_release(&g->lock);
}

void
subi__gate_unhost(subi__gate *g, subi__guest *guest)
{
    subi__lock_acquire(&g->lock);
    if (guest->next != NULL) {
        remove_guest(g, guest);
        ask_first(g);
    }
    subi__lock_release(&g->lock);
}
