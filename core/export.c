// SPDX-License-Identifier: MIT
//
// Exports: what an interpreter has lent to others. Only the interpreter itself can take it back, so
// the last one who drops a reference, on whatever thread, returns the export to its owner's record;
// from there the owner takes it when it comes by, or the reaper brings it to the owner.
#include "export.h"

#include <stdlib.h>

#include "interp.h"

struct subi_export {
    _Atomic size_t references;  // atomic; 0: it is on its way back to its owner
    subi_export *next;          // of the stack it is in, for whoever puts it there or took it out
    subi_interp *owner;         // set once; one reference
    subi_export_calls calls;    // set once
    _Alignas(max_align_t) unsigned char data[];
};

subi_result
subi_export_new(subi_interp *owner, const subi_export_calls *calls, size_t size, subi_export **out)
{
    subi__exports *x = subi__interp_exports(owner);
    if (subi_interp_stale(owner)) {
        return SUBI_FORKED;
    }
    if (atomic_load(&x->over)) {
        return SUBI_CLOSED;
    }
    subi_export *e = calloc(1, sizeof(*e) + size);
    if (e == NULL) {
        return SUBI_NOMEM;
    }
    atomic_init(&e->references, 1);
    subi_interp_hold(owner);
    e->owner = owner;
    e->calls = *calls;
    atomic_fetch_add(&x->count, 1);
    *out = e;
    return SUBI_OK;
}

void *
subi_export_data(subi_export *e)
{
    return e->data;
}

void
subi_export_hold(subi_export *e)
{
    // relaxed: the caller has a reference
    atomic_fetch_add_explicit(&e->references, 1, memory_order_relaxed);
}

// By a thread that is attached to the owner.
static void
release(subi_export *e)
{
    subi_interp *owner = e->owner;
    e->calls.release(e->data);
    free(e);
    atomic_fetch_sub(&subi__interp_exports(owner)->count, 1);
    subi_interp_drop(owner);
}

static void
push(subi__exports *x, subi_export *first, subi_export *last)
{
    last->next = atomic_load_explicit(&x->returned, memory_order_relaxed);
    // release: pairs with the acquire in subi__exports_take
    while (!atomic_compare_exchange_weak_explicit(&x->returned, &last->next, first,
                                                  memory_order_release, memory_order_relaxed)) {
    }
}

void
subi_export_drop(subi_export *e)
{
    // release, and acquire on the last: all use by others is over before the owner takes it back
    if (atomic_fetch_sub_explicit(&e->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    subi__exports *x = subi__interp_exports(e->owner);
    if (atomic_load(&x->over)) {
        return;  // the owner is gone, and with it the one way to release this
    }
    if (e->calls.is_attached(e->data)) {
        release(e);
    }
    else if (!subi_interp_stale(e->owner)) {
        subi_interp *owner = e->owner;
        subi_interp_hold(owner);  // as soon as it was pushed, it may be gone
        push(x, e, e);
        subi__reaper_tell(owner);
        subi_interp_drop(owner);
    }
}

static void
free_segment(void *owner)
{
    subi_export_drop(owner);
}

subi_segment
subi_export_segment(subi_export *e, void *data, size_t size)
{
    subi_export_hold(e);
    return (subi_segment){.data = data, .size = size, .free = free_segment, .owner = e};
}

// ---- for the owner ----------------------------------------------------------------------------

subi_export *
subi__exports_take(subi_interp *i)
{
    subi__exports *x = subi__interp_exports(i);
    // all at once, so that nobody who looks at the first one can find it gone
    return atomic_exchange_explicit(&x->returned, NULL, memory_order_acquire);
}

void
subi_exports_release(subi_export *list)
{
    while (list != NULL) {
        subi_export *next = list->next;
        release(list);
        list = next;
    }
}

void
subi_exports_drain(subi_interp *i)
{
    subi__exports *x = subi__interp_exports(i);
    if (atomic_load_explicit(&x->returned, memory_order_relaxed) != NULL && !subi_interp_stale(i)) {
        subi_exports_release(subi__exports_take(i));
    }
}

size_t
subi_exports_count(subi_interp *i)
{
    return atomic_load(&subi__interp_exports(i)->count);
}

void
subi_exports_end(subi_interp *i)
{
    atomic_store(&subi__interp_exports(i)->over, true);
}

// ---- for the reaper ---------------------------------------------------------------------------

bool
subi__exports_visit(subi_interp *i, subi_export *list)
{
    if (list->calls.visit(list->data, list)) {
        return true;
    }
    subi_export *last = list;
    while (last->next != NULL) {
        last = last->next;
    }
    push(subi__interp_exports(i), list, last);
    return false;
}

void
subi__exports_recheck(subi_interp *i)
{
    if (atomic_load(&subi__interp_exports(i)->returned) != NULL) {
        subi__reaper_tell(i);
    }
}
