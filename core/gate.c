// SPDX-License-Identifier: MIT
#include "gate.h"

void
subi__gate_init(subi__gate *g, size_t limit)
{
    subi__lock_init(&g->lock);
    g->limit = limit;
    g->inside = 0;
    subi__waitlist_init(&g->waiters);
}

void
subi__gate_enter(subi__gate *g)
{
    subi__lock_acquire(&g->lock);
    if (g->inside < g->limit) {
        g->inside++;
        subi__lock_release(&g->lock);
        return;
    }
    subi__wait w;
    subi__node n = {.wait = &w};
    subi__wait_init(&w);
    subi__waitlist_link(&g->waiters, &n);
    subi__lock_release(&g->lock);
    while (subi__park(&w, SUBI_FOREVER) != SUBI_OK) {
    }
}

void
subi__gate_leave(subi__gate *g)
{
    _Atomic uint32_t *wake = NULL;
    subi__lock_acquire(&g->lock);
    subi__node *next = subi__waitlist_claim(&g->waiters);
    if (next != NULL) {
        wake = subi__node_finish(next, SUBI_OK);  // our place is now its place
    }
    else {
        g->inside--;
    }
    subi__lock_release(&g->lock);
    subi__wake(wake);
}
