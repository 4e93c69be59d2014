// SPDX-License-Identifier: MIT
//
// All waiting on channels. The order of locking and the two passes are those of Go's select.
#include "select.h"
#include "subinterp_runtime.h"

#include <stdlib.h>
#include <string.h>

#define CASES_ON_STACK 8

static int
compare_channels(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)*(subi_channel *const *)a, y = (uintptr_t)*(subi_channel *const *)b;
    return (x > y) - (x < y);
}

void
subi__selection_order(subi__selection *s)
{
    for (size_t i = 0; i < s->count; i++) {
        s->order[i] = s->cases[i].channel;
    }
    if (s->count > 1) {
        qsort(s->order, s->count, sizeof(*s->order), compare_channels);
    }
    s->order_count = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (i == 0 || s->order[i] != s->order[i - 1]) {
            s->order[s->order_count++] = s->order[i];
        }
    }
}

void
subi__selection_lock(subi__selection *s)
{
    for (size_t i = 0; i < s->order_count; i++) {
        subi__lock_acquire(&s->order[i]->lock);
    }
}

void
subi__selection_unlock(subi__selection *s)
{
    for (size_t i = s->order_count; i-- > 0;) {
        subi__lock_release(&s->order[i]->lock);
    }
}

// xorshift64 (G. Marsaglia, 2003), for a fair choice among ready cases.
static size_t
random_below(size_t n)
{
    static _Thread_local uint64_t x;
    if (x == 0) {
        x = (uint64_t)subi_now() ^ (uint64_t)(uintptr_t)&x;
    }
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (size_t)(x % n);
}

// A random permutation (Fisher and Yates, inside out). Starting at a random case and going round
// would not do: a ready case after many that are not would be chosen more often than others.
static void
make_turns(subi__selection *s)
{
    for (size_t i = 0; i < s->count; i++) {
        size_t j = i > 0 ? random_below(i + 1) : 0;
        s->turns[i] = s->turns[j];
        s->turns[j] = i;
    }
}

subi_result
subi__selection_try(subi__selection *s, size_t *chosen, subi__wakes *wakes)
{
    make_turns(s);
    for (size_t k = 0; k < s->count; k++) {
        size_t i = s->turns[k];
        subi_result r = subi__channel_try(&s->cases[i], s->interp, wakes);
        if (r == SUBI_OK || r == SUBI_CLOSED) {
            *chosen = i;
        }
        if (r != SUBI_EMPTY && r != SUBI_FULL) {
            return r;
        }
    }
    return SUBI_EMPTY;
}

void
subi__selection_link(subi__selection *s, subi__wait *w, const subi__node *first, subi__wakes *wakes)
{
    for (size_t i = 0; i < s->count; i++) {
        subi__node *n = &s->nodes[i];
        subi__waitlist *l = subi__channel_waitlist(&s->cases[i]);
        if (n->next != NULL) {
            continue;
        }
        *n = (subi__node){.wait = w, .message = s->cases[i].message};
        if (n == first) {
            subi__waitlist_link_first(l, n);
        }
        else {
            subi__waitlist_link(l, n);
        }
    }
    for (size_t i = 0; i < s->count; i++) {
        subi__channel_linked(&s->cases[i], w, wakes);
    }
}

void
subi__selection_unlink(subi__selection *s)
{
    for (size_t i = 0; i < s->count; i++) {
        subi__node_unlink(&s->nodes[i]);
    }
}

// Tries once and waits once. SUBI_EMPTY without SUBI_TRY: to be done again.
static subi_result
wait_for_one(subi__selection *s, int64_t deadline, size_t *chosen)
{
    subi__wait w;
    subi__wakes wakes = {.count = 0};

    subi__wait_init(&w);
    subi__selection_lock(s);
    subi_result r = subi__selection_try(s, chosen, &wakes);
    bool waits = r == SUBI_EMPTY && deadline != SUBI_TRY;
    if (waits) {
        memset(s->nodes, 0, s->count * sizeof(*s->nodes));
        subi__selection_link(s, &w, s->in_front ? s->nodes : NULL, &wakes);
    }
    subi__selection_unlock(s);
    subi__wake(&wakes);
    if (!waits) {
        return r;
    }

    r = subi__park(&w, deadline);

    if (s->count > 1 || r != SUBI_OK) {  // a single node was unlinked by the waker
        subi__selection_lock(s);
        subi__selection_unlink(s);
        subi__selection_unlock(s);
    }
    subi__node *winner = atomic_load(&w.winner);
    if (winner == NULL) {
        return r;
    }
    if (winner->result != SUBI_EMPTY) {
        *chosen = (size_t)(winner - s->nodes);
    }
    return winner->result;
}

static subi_result
select_one(subi_case *cases, size_t count, bool in_front, int64_t interp, int64_t deadline,
           size_t *chosen)
{
    subi__node nodes[CASES_ON_STACK];
    subi_channel *order[CASES_ON_STACK];
    size_t turns[CASES_ON_STACK] = {0};
    subi__selection s = {.cases = cases,
                         .count = count,
                         .in_front = in_front,
                         .interp = interp,
                         .nodes = nodes,
                         .order = order,
                         .turns = turns};

    for (size_t i = 0; i < count; i++) {
        if (subi__channel_stale(cases[i].channel)) {
            return SUBI_FORKED;
        }
    }
    if (count > CASES_ON_STACK) {
        s.nodes = calloc(count, sizeof(*s.nodes));
        s.order = calloc(count, sizeof(*s.order));
        s.turns = calloc(count, sizeof(*s.turns));
    }
    subi_result r = SUBI_NOMEM;
    if (s.nodes != NULL && s.order != NULL && s.turns != NULL) {
        subi__selection_order(&s);
        do {
            r = wait_for_one(&s, deadline, chosen);
        } while (r == SUBI_EMPTY && deadline != SUBI_TRY);
    }
    if (count > CASES_ON_STACK) {
        free(s.nodes);
        free(s.order);
        free(s.turns);
    }
    return r;
}

subi_result
subi_select(subi_case *cases, size_t count, int64_t interp, int64_t deadline, size_t *chosen)
{
    return select_one(cases, count, false, interp, deadline, chosen);
}

subi_result
subi_channel_recv_in_front(subi_channel *c, int64_t interp, subi_message *m, int64_t deadline)
{
    subi_case k = {.channel = c, .end = SUBI_RECV, .message = m};
    size_t chosen;
    return select_one(&k, 1, true, interp, deadline, &chosen);
}
