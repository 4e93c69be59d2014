// SPDX-License-Identifier: MIT
#include "notify.h"

#include <stdlib.h>

#include "lock.h"
#include "platform.h"
#include "select.h"
#include "subinterp_runtime.h"

typedef struct waiters {
    subi_waiter *first, **last;  // the link that ends the list
} waiters;

struct subi_notifier {
    int64_t interp;  // set once, like the next two
    uint32_t generation;
    int fd;
    _Atomic size_t references;  // atomic: of the owner, its waiters, and signals on their way
    subi__lock lock;
    subi_waiter *told, **told_last;  // guarded by lock: told and not taken yet; the link at the end
    subi_waiter *waiters;            // of the owner's thread: all of them
    bool closed;                     // of the owner's thread
    subi_notifier *next, **link;     // guarded by the lock of all notifiers
};

struct subi_waiter {
    subi__wait wait;
    subi_notifier *notifier;    // set once; one reference
    void *data;                 // set once
    subi__selection s;          // its nodes are guarded by the channels' locks
    bool waits;                 // of the owner's thread: the nodes are linked, or it has been told
    subi_waiter *next, **link;  // of the owner's thread: in notifier->waiters
    subi_waiter *told_next;     // guarded by the notifier's lock
    bool is_told;               // guarded by the notifier's lock: it is in its list
};

static subi__lock all_lock = SUBI__LOCK_INIT;
static subi_notifier *all;  // guarded by all_lock

// ---- notifiers --------------------------------------------------------------------------------

static bool
is_stale(const subi_notifier *n)
{
    return n->generation != subi_generation();
}

subi_result
subi_notifier_new(int64_t interp, subi_notifier **out)
{
    subi_notifier *n = calloc(1, sizeof(*n));
    if (n == NULL) {
        return SUBI_NOMEM;
    }
    n->fd = subi__event_new();
    if (n->fd < 0) {
        free(n);
        return SUBI_FULL;
    }
    n->interp = interp;
    n->generation = subi_generation();
    atomic_init(&n->references, 1);
    subi__lock_init(&n->lock);
    n->told_last = &n->told;
    subi__lock_acquire(&all_lock);
    n->next = all;
    n->link = &all;
    if (all != NULL) {
        all->link = &n->next;
    }
    all = n;
    subi__lock_release(&all_lock);
    *out = n;
    return SUBI_OK;
}

static void
unlist(subi_notifier *n)
{
    subi__lock_acquire(&all_lock);
    *n->link = n->next;
    if (n->next != NULL) {
        n->next->link = n->link;
    }
    subi__lock_release(&all_lock);
}

static void
hold(subi_notifier *n)
{
    atomic_fetch_add_explicit(&n->references, 1, memory_order_relaxed);  // the caller has one
}

void
subi_notifier_drop(subi_notifier *n)
{
    // acquire and release: what others did with it comes before it is freed
    if (atomic_fetch_sub_explicit(&n->references, 1, memory_order_acq_rel) == 1) {
        if (!is_stale(n)) {
            unlist(n);
        }
        subi__event_free(n->fd);
        free(n);
    }
}

int
subi_notifier_fd(const subi_notifier *n)
{
    return n->fd;
}

void
subi_notifier_clear(subi_notifier *n)
{
    if (!is_stale(n)) {  // or it would take what the parent is to be told
        subi__event_clear(n->fd);
    }
}

void
subi__notifier_signal(subi_notifier *n)
{
    subi__event_signal(n->fd);
    subi_notifier_drop(n);
}

// Wants the notifier's lock. The first one.
static subi_waiter *
pop_told(subi_notifier *n)
{
    subi_waiter *w = n->told;
    if (w != NULL) {
        n->told = w->told_next;
        if (n->told == NULL) {
            n->told_last = &n->told;
        }
        w->is_told = false;
    }
    return w;
}

void *
subi_notifier_next(subi_notifier *n)
{
    if (is_stale(n)) {
        return NULL;
    }
    subi__lock_acquire(&n->lock);
    subi_waiter *w = pop_told(n);
    subi__lock_release(&n->lock);
    return w != NULL ? w->data : NULL;
}

void
subi__waiter_tell(subi_waiter *w, subi__wakes *wakes)
{
    subi_notifier *n = w->notifier;
    subi__lock_acquire(&n->lock);
    bool was_empty = n->told == NULL;
    w->told_next = NULL;
    w->is_told = true;
    *n->told_last = w;
    n->told_last = &w->told_next;
    subi__lock_release(&n->lock);
    if (was_empty) {  // else the signal is on its way
        hold(n);
        subi__wakes_add(wakes, NULL, n);
    }
}

// Takes the waiter out of the list of those that were told.
static void
untell(subi_waiter *w)
{
    subi_notifier *n = w->notifier;
    subi__lock_acquire(&n->lock);
    if (w->is_told) {
        subi_waiter **link = &n->told;
        while (*link != w) {
            link = &(*link)->told_next;
        }
        *link = w->told_next;
        if (w->told_next == NULL) {
            n->told_last = link;
        }
        w->is_told = false;
    }
    subi__lock_release(&n->lock);
}

// ---- waiters ----------------------------------------------------------------------------------

static void
free_memory(subi_waiter *w)
{
    free(w->s.cases);
    free(w->s.nodes);
    free(w->s.order);
    free(w->s.turns);
    free(w);
}

static bool
copy_cases(subi_waiter *w, const subi_case *cases, size_t count, int64_t interp)
{
    subi__selection *s = &w->s;
    size_t n = count > 0 ? count : 1;
    s->cases = calloc(n, sizeof(*s->cases));
    s->nodes = calloc(n, sizeof(*s->nodes));
    s->order = calloc(n, sizeof(*s->order));
    s->turns = calloc(n, sizeof(*s->turns));
    if (s->cases == NULL || s->nodes == NULL || s->order == NULL || s->turns == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        s->cases[i] = cases[i];
        subi_channel_hold(cases[i].channel);
    }
    s->count = count;
    s->interp = interp;
    subi__selection_order(s);
    return true;
}

subi_result
subi_waiter_new(subi_notifier *n, const subi_case *cases, size_t count, int64_t interp, void *data,
                subi_waiter **out)
{
    subi_waiter *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return SUBI_NOMEM;
    }
    if (!copy_cases(w, cases, count, interp)) {
        free_memory(w);
        return SUBI_NOMEM;
    }
    subi__wait_init(&w->wait);
    w->wait.waiter = w;
    w->data = data;
    hold(n);
    w->notifier = n;
    w->next = n->waiters;
    w->link = &n->waiters;
    if (w->next != NULL) {
        w->next->link = &w->next;
    }
    n->waiters = w;
    *out = w;
    return SUBI_OK;
}

static bool
has_stale_channel(const subi_waiter *w)
{
    bool stale = is_stale(w->notifier);
    for (size_t i = 0; i < w->s.count; i++) {
        stale = stale || subi__channel_stale(w->s.cases[i].channel);
    }
    return stale;
}

// The case that it was told of, which has nothing reserved any more; NULL: none. Wants all locks.
static const subi_case *
redeem(subi_waiter *w)
{
    subi__node *winner = atomic_load(&w->wait.winner);
    if (winner == NULL) {
        return NULL;
    }
    untell(w);
    const subi_case *k = &w->s.cases[winner - w->s.nodes];
    if (winner->result != SUBI_OK) {
        return NULL;
    }
    winner->result = SUBI_EMPTY;
    subi__channel_redeem(k);
    return k;
}

// The case that it was told of first, then all. Wants all locks. While its wait is claimed, its own nodes
// are nobody's partners.
static subi_result
try_again(subi_waiter *w, size_t *chosen, subi__wakes *wakes)
{
    const subi_case *told = redeem(w);
    subi_result r = SUBI_EMPTY;
    if (told != NULL) {
        r = subi__channel_try(told, w->s.interp, wakes);
        if (r == SUBI_OK || r == SUBI_CLOSED) {
            *chosen = (size_t)(told - w->s.cases);
        }
    }
    if (r == SUBI_EMPTY || r == SUBI_FULL) {
        r = subi__selection_try(&w->s, chosen, wakes);
    }
    if (told != NULL) {
        subi__channel_pass_on(told, wakes);
    }
    return r;
}

// Those that lost their place while it was told are at the end of the lists, but for the one that it was
// told of in vain. Wants all locks.
static void
link_again(subi_waiter *w, subi__wakes *wakes)
{
    subi__node *first = atomic_exchange(&w->wait.winner, NULL);
    subi__selection_link(&w->s, &w->wait, first, wakes);
}

subi_result
subi_waiter_try(subi_waiter *w, size_t *chosen)
{
    if (has_stale_channel(w)) {
        return SUBI_FORKED;
    }
    if (w->notifier->closed) {
        return SUBI_CLOSED;
    }
    subi_result r = SUBI_EMPTY;
    subi__wakes wakes = {.count = 0};
    subi__selection_lock(&w->s);
    if (!w->waits || atomic_load(&w->wait.winner) != NULL) {
        r = try_again(w, chosen, &wakes);
        w->waits = r == SUBI_EMPTY;
        if (w->waits) {
            link_again(w, &wakes);
        }
        else {
            subi__selection_unlink(&w->s);
        }
    }
    subi__selection_unlock(&w->s);
    subi__wake(&wakes);
    return r;
}

static void
give_up(subi_waiter *w)
{
    if (!w->waits || has_stale_channel(w)) {
        return;
    }
    subi__wakes wakes = {.count = 0};
    w->waits = false;
    subi__selection_lock(&w->s);
    subi__selection_unlink(&w->s);
    const subi_case *told = redeem(w);
    if (told != NULL) {
        subi__channel_pass_on(told, &wakes);
    }
    subi__selection_unlock(&w->s);
    subi__wake(&wakes);
}

void
subi_waiter_free(subi_waiter *w)
{
    give_up(w);
    *w->link = w->next;
    if (w->next != NULL) {
        w->next->link = w->link;
    }
    for (size_t i = 0; i < w->s.count; i++) {
        subi_channel_drop(w->s.cases[i].channel);
    }
    subi_notifier_drop(w->notifier);
    free_memory(w);
}

// ---- ends -------------------------------------------------------------------------------------

// One that is not closed, with a reference, or NULL.
static subi_notifier *
find_open(int64_t interp)
{
    subi__lock_acquire(&all_lock);
    subi_notifier *n = all;
    while (n != NULL && (n->interp != interp || n->closed)) {
        n = n->next;
    }
    if (n != NULL) {
        hold(n);
    }
    subi__lock_release(&all_lock);
    return n;
}

void
subi_notifiers_close(int64_t interp)
{
    subi_notifier *n;
    while ((n = find_open(interp)) != NULL) {
        n->closed = true;
        for (subi_waiter *w = n->waiters; w != NULL; w = w->next) {
            give_up(w);
        }
        subi_notifier_drop(n);
    }
}

void
subi_notifiers_disturb(int64_t interp)
{
    subi__lock_acquire(&all_lock);  // while one is in the list its descriptor is open
    for (subi_notifier *n = all; n != NULL; n = n->next) {
        if (n->interp == interp) {
            subi__event_signal(n->fd);
        }
    }
    subi__lock_release(&all_lock);
}

void
subi__notifiers_forget(void)
{
    subi__lock_init(&all_lock);
    all = NULL;
}
