// SPDX-License-Identifier: MIT
#include "thread.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "lock.h"
#include "platform.h"
#include "subinterp_runtime.h"
#include "sync.h"

struct subi_thread {
    _Atomic size_t
        references;       // the thread itself has one while it lives, and what it holds others
    _Atomic bool alive;   // atomic: cleared once, by the thread's end
    uint32_t generation;  // of the thread; written again only in the child of a fork
    uintptr_t ident;      // set once
    subi__lock lock;
    subi__wait *parked;  // guarded by lock: what it sleeps on, else NULL
    bool interrupted;    // guarded by lock: its next sleep ends at once
};

static _Thread_local subi_thread *self;

static void
thread_ended(void *value)
{
    subi_thread *t = value;
    self = NULL;  // a later destructor of this thread may still call us: it gets a new record
    atomic_store(&t->alive, false);
    // acquire: pairs with the drop of who released the last lock that this thread had acquired
    if (atomic_load_explicit(&t->references, memory_order_acquire) > 1) {
        subi__syncs_owner_ended(&(subi__owner){.thread = t});
    }
    subi_thread_drop(t);
}

subi_thread *
subi_thread_self(void)
{
    if (self == NULL) {
        subi_thread *t = calloc(1, sizeof(*t));
        if (t == NULL) {
            return NULL;
        }
        atomic_init(&t->references, 1);
        atomic_init(&t->alive, true);
        t->generation = subi_generation();
        t->ident = (uintptr_t)pthread_self();
        if (subi__at_thread_exit(thread_ended, t) != SUBI_OK) {
            free(t);
            return NULL;
        }
        self = t;
    }
    return self;
}

void
subi_thread_hold(subi_thread *t)
{
    // relaxed: the caller has a reference
    atomic_fetch_add_explicit(&t->references, 1, memory_order_relaxed);
}

void
subi_thread_drop(subi_thread *t)
{
    // release, and acquire on the last: all use by others is over before we free
    if (atomic_fetch_sub_explicit(&t->references, 1, memory_order_acq_rel) == 1) {
        free(t);
    }
}

bool
subi_thread_alive(const subi_thread *t)
{
    return t->generation == subi_generation() && atomic_load(&((subi_thread *)t)->alive);
}

uintptr_t
subi_thread_ident(const subi_thread *t)
{
    return t->ident;
}

void
subi_thread_interrupt(subi_thread *t)
{
    subi__lock_acquire(&t->lock);
    if (t->parked != NULL) {
        subi__wait_disturb(t->parked);
    }
    else {
        t->interrupted = true;
    }
    subi__lock_release(&t->lock);
}

subi_result
subi__thread_parks(subi__wait *w)
{
    subi_thread *t = subi_thread_self();
    if (t == NULL) {
        return SUBI_NOMEM;
    }
    subi__lock_acquire(&t->lock);
    bool interrupted = t->interrupted;
    t->interrupted = false;
    t->parked = interrupted ? NULL : w;
    subi__lock_release(&t->lock);
    return interrupted ? SUBI_INTERRUPTED : SUBI_OK;
}

void
subi__thread_unparks(void)
{
    if (self != NULL) {
        subi__lock_acquire(&self->lock);
        self->parked = NULL;
        subi__lock_release(&self->lock);
    }
}

void
subi__thread_survived(void)
{
    if (self != NULL) {
        self->generation = subi_generation();
        self->lock = (subi__lock)SUBI__LOCK_INIT;  // another thread may have had it
        self->parked = NULL;
        self->interrupted = false;
    }
}
