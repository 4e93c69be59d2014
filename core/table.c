// SPDX-License-Identifier: MIT
#include "table.h"
#include "subinterp_runtime.h"

#include <stdlib.h>

#define SIZE_MIN 16

static size_t
home(const subi__table *t, int64_t id)
{
    // Fibonacci hashing (Knuth, TAOCP 6.4): consecutive ids land far apart
    return (size_t)(((uint64_t)id * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & (t->size - 1);
}

static size_t
slot_of(const subi__table *t, int64_t id)
{
    size_t i = home(t, id);
    while (t->slots[i] != NULL && t->slots[i]->id != id) {
        i = (i + 1) & (t->size - 1);
    }
    return i;
}

static subi_result
resize(subi__table *t, size_t size)
{
    subi__entry **slots = calloc(size, sizeof(*slots));
    if (slots == NULL) {
        return SUBI_NOMEM;
    }
    subi__table old = *t;
    t->slots = slots;
    t->size = size;
    for (size_t i = 0; i < old.size; i++) {
        if (old.slots[i] != NULL) {
            slots[slot_of(t, old.slots[i]->id)] = old.slots[i];
        }
    }
    free(old.slots);
    return SUBI_OK;
}

subi_result
subi__table_add(subi__table *t, subi__entry *e)
{
    subi_result r = SUBI_OK;
    subi__lock_acquire(&t->lock);
    if (t->count + 1 > t->size / 4 * 3) {
        r = resize(t, t->size == 0 ? SIZE_MIN : t->size * 2);
    }
    if (r == SUBI_OK) {
        e->id = t->next_id++;
        e->generation = subi_generation();
        e->listed = true;
        atomic_init(&e->references, 1);
        t->slots[slot_of(t, e->id)] = e;
        t->count++;
    }
    subi__lock_release(&t->lock);
    return r;
}

// An entry whose last reference is being dropped right now counts as gone.
static bool
hold_unless_dying(subi__entry *e)
{
    size_t n = atomic_load_explicit(&e->references, memory_order_relaxed);
    while (n != 0) {
        // relaxed: the table's lock, which we hold, orders us after the entry was added
        if (atomic_compare_exchange_weak_explicit(&e->references, &n, n + 1, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

subi__entry *
subi__table_find(subi__table *t, int64_t id)
{
    subi__entry *e = NULL;
    subi__lock_acquire(&t->lock);
    if (t->count != 0) {
        e = t->slots[slot_of(t, id)];
        if (e != NULL && !hold_unless_dying(e)) {
            e = NULL;
        }
    }
    subi__lock_release(&t->lock);
    return e;
}

subi__entry *
subi__table_search(subi__table *t, bool (*test)(subi__entry *, const void *), const void *arg)
{
    subi__entry *found = NULL;
    subi__lock_acquire(&t->lock);
    for (size_t i = 0; i < t->size && found == NULL; i++) {
        subi__entry *e = t->slots[i];
        if (e != NULL && test(e, arg) && hold_unless_dying(e)) {
            found = e;
        }
    }
    subi__lock_release(&t->lock);
    return found;
}

void
subi__table_each(subi__table *t, void (*visit)(subi__entry *, const void *), const void *arg)
{
    subi__lock_acquire(&t->lock);
    for (size_t i = 0; i < t->size && t->count > 0; i++) {
        if (t->slots[i] != NULL) {
            visit(t->slots[i], arg);
        }
    }
    subi__lock_release(&t->lock);
}

// Empties slot i and moves later entries of its run back, so that no probe stops early
// (Knuth, TAOCP 6.4, algorithm R).
static void
delete_slot(subi__table *t, size_t i)
{
    size_t mask = t->size - 1;
    for (size_t j = (i + 1) & mask; t->slots[j] != NULL; j = (j + 1) & mask) {
        size_t h = home(t, t->slots[j]->id);
        if (((j - h) & mask) >= ((j - i) & mask)) {
            t->slots[i] = t->slots[j];
            i = j;
        }
    }
    t->slots[i] = NULL;
    t->count--;
}

bool
subi__table_unlist(subi__table *t, subi__entry *e)
{
    subi__lock_acquire(&t->lock);
    bool was = e->listed && e->generation == subi_generation();
    if (was) {
        e->listed = false;
        delete_slot(t, slot_of(t, e->id));
    }
    subi__lock_release(&t->lock);
    return was;
}

bool
subi__table_listed(subi__table *t, subi__entry *e)
{
    subi__lock_acquire(&t->lock);
    bool listed = e->listed && e->generation == subi_generation();
    subi__lock_release(&t->lock);
    return listed;
}

bool
subi__table_drop(subi__table *t, subi__entry *e)
{
    // release, and acquire on the last: all use of the object by others is over before we free it
    if (atomic_fetch_sub_explicit(&e->references, 1, memory_order_acq_rel) != 1) {
        return false;
    }
    subi__table_unlist(t, e);
    return e->generation == subi_generation();
}

static int
compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

subi_result
subi__table_ids(subi__table *t, bool (*test)(subi__entry *), int64_t **ids, size_t *count)
{
    size_t n = 0;
    subi__lock_acquire(&t->lock);
    int64_t *found = malloc((t->count + 1) * sizeof(*found));
    for (size_t i = 0; i < t->size && found != NULL; i++) {
        if (t->slots[i] != NULL && (test == NULL || test(t->slots[i]))) {
            found[n++] = t->slots[i]->id;
        }
    }
    subi__lock_release(&t->lock);
    if (found == NULL) {
        return SUBI_NOMEM;
    }
    qsort(found, n, sizeof(*found), compare_ids);
    *ids = found;
    *count = n;
    return SUBI_OK;
}

subi_result
subi__table_snapshot(subi__table *t, subi__entry ***entries, size_t *count)
{
    size_t n = 0;
    subi__lock_acquire(&t->lock);
    subi__entry **found = malloc((t->count + 1) * sizeof(*found));
    for (size_t i = 0; i < t->size && found != NULL; i++) {
        if (t->slots[i] != NULL && hold_unless_dying(t->slots[i])) {
            found[n++] = t->slots[i];
        }
    }
    subi__lock_release(&t->lock);
    if (found == NULL) {
        return SUBI_NOMEM;
    }
    *entries = found;
    *count = n;
    return SUBI_OK;
}

void
subi__table_forget(subi__table *t)
{
    subi__lock_init(&t->lock);
    t->count = 0;
    t->size = 0;
    t->slots = NULL;
}
