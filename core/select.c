// SPDX-License-Identifier: MIT
//
// All blocking on channels. The order of locking and the two passes are those of Go's select.
#include <stdlib.h>

#include "channel.h"
#include "platform.h"
#include "wait.h"

#define CASES_ON_STACK 8

// What one call works with, sized for `count` cases.
typedef struct selection {
    subi_case *cases;
    size_t count;
    int64_t interp;
    subi__node *nodes;     // nodes[i] is for cases[i]
    subi_channel **order;  // the cases' channels without repetition, in the order of locking
    size_t order_count;
    size_t *turns;  // a permutation of the cases: the order of trying them
} selection;

static int
compare_channels(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)*(subi_channel *const *)a, y = (uintptr_t)*(subi_channel *const *)b;
    return (x > y) - (x < y);
}

static void
make_order(selection *s)
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

static void
lock_all(selection *s)
{
    for (size_t i = 0; i < s->order_count; i++) {
        subi__lock_acquire(&s->order[i]->lock);
    }
}

static void
unlock_all(selection *s)
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
make_turns(selection *s)
{
    for (size_t i = 0; i < s->count; i++) {
        size_t j = i > 0 ? random_below(i + 1) : 0;
        s->turns[i] = s->turns[j];
        s->turns[j] = i;
    }
}

// Tries the cases in random order. Wants all locks. SUBI_EMPTY: none is ready.
static subi_result
try_all(selection *s, size_t *chosen, _Atomic uint32_t **wake)
{
    for (size_t k = 0; k < s->count; k++) {
        size_t i = s->turns[k];
        subi_result r = subi__channel_try(&s->cases[i], s->interp, wake);
        if (r == SUBI_OK || r == SUBI_CLOSED) {
            *chosen = i;
        }
        if (r != SUBI_EMPTY && r != SUBI_FULL) {
            return r;
        }
    }
    return SUBI_EMPTY;
}

static void
link_all(selection *s, subi__wait *w)
{
    for (size_t i = 0; i < s->count; i++) {
        s->nodes[i] = (subi__node){.wait = w, .message = s->cases[i].message};
        subi__waitlist_link(subi__channel_waitlist(&s->cases[i]), &s->nodes[i]);
    }
}

static subi_result
wait_for_one(selection *s, int64_t deadline, size_t *chosen)
{
    subi__wait w;
    _Atomic uint32_t *wake = NULL;

    subi__wait_init(&w);
    lock_all(s);
    subi_result r = try_all(s, chosen, &wake);
    if (r != SUBI_EMPTY || deadline == SUBI_TRY) {
        unlock_all(s);
        subi__wake(wake);
        return r;
    }
    link_all(s, &w);
    unlock_all(s);

    r = subi__park(&w, deadline);

    if (s->count > 1 || r != SUBI_OK) {  // a single node was unlinked by the waker
        lock_all(s);
        for (size_t i = 0; i < s->count; i++) {
            subi__node_unlink(&s->nodes[i]);
        }
        unlock_all(s);
    }
    subi__node *winner = atomic_load(&w.winner);
    if (winner == NULL) {
        return r;
    }
    *chosen = (size_t)(winner - s->nodes);
    return winner->result;
}

subi_result
subi_select(subi_case *cases, size_t count, int64_t interp, int64_t deadline, size_t *chosen)
{
    subi__node nodes[CASES_ON_STACK];
    subi_channel *order[CASES_ON_STACK];
    size_t turns[CASES_ON_STACK] = {0};
    selection s = {.cases = cases,
                   .count = count,
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
        make_order(&s);
        make_turns(&s);
        r = wait_for_one(&s, deadline, chosen);
    }
    if (count > CASES_ON_STACK) {
        free(s.nodes);
        free(s.order);
        free(s.turns);
    }
    return r;
}
