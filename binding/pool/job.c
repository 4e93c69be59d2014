// SPDX-License-Identifier: MIT
#include "job.h"

#include <stdlib.h>

#include "pool.h"

job *
subi_job_new(callee *c, size_t capacity, size_t chunk)
{
    job *j = calloc(1, sizeof(*j));
    item *items = calloc(capacity > 0 ? capacity : 1, sizeof(*items));
    if (j == NULL || items == NULL ||
        subi_channel_new_labelled(1, POOL_LABEL, &j->ready) != SUBI_OK) {
        free(j);
        free(items);
        subi_callee_drop(c);
        return NULL;
    }
    atomic_init(&j->references, 1);
    atomic_init(&j->awaited, SIZE_MAX);
    j->callee = c;
    j->capacity = capacity > 0 ? capacity : 1;
    j->chunk = chunk;
    j->items = items;
    return j;
}

void
subi_job_hold(job *j)
{
    atomic_fetch_add_explicit(&j->references, 1, memory_order_relaxed);
}

static void
fini_item(item *it)
{
    subi_message_fini(&it->message);
    if (it->failure != NULL) {
        subi_failure_fini(it->failure);
        free(it->failure);
        it->failure = NULL;
    }
}

void
subi_job_drop(job *j)
{
    // release and acquire: what others did with it comes before it is freed
    if (atomic_fetch_sub_explicit(&j->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t k = 0; k < j->capacity; k++) {
        fini_item(&j->items[k]);
    }
    subi_callee_drop(j->callee);
    subi_channel_drop(j->ready);
    free(j->items);
    free(j);
}

void
subi_job_add(job *j, subi_message *arguments)
{
    size_t k = atomic_load(&j->count);
    item *it = subi_job_item(j, k);
    fini_item(it);
    it->message = *arguments;
    *arguments = subi_message_none();
    atomic_store(&it->state, ITEM_WAITING);
    atomic_store(&j->count, k + 1);
}

void
subi_job_return(job *j, size_t k)
{
    atomic_store(&subi_job_item(j, k)->state, ITEM_RETURNED);
    atomic_fetch_add(&j->returned, 1);
}

// One that was returned. It is not done, so it is one of the last `capacity` that were taken.
static bool
take_returned(job *j, size_t *k)
{
    size_t next = atomic_load(&j->next);
    for (size_t back = 1; back <= j->capacity && back <= next; back++) {
        int expected = ITEM_RETURNED;
        if (atomic_compare_exchange_strong(&subi_job_item(j, next - back)->state, &expected,
                                           ITEM_WAITING)) {
            atomic_fetch_sub(&j->returned, 1);
            *k = next - back;
            return true;
        }
    }
    return false;
}

size_t
subi_job_take(job *j, size_t most, size_t *first)
{
    if (atomic_load(&j->returned) > 0 && !atomic_load(&j->cancelled) && take_returned(j, first)) {
        return 1;
    }
    size_t k = atomic_load(&j->next), n;
    do {
        size_t count = atomic_load(&j->count);
        n = atomic_load(&j->cancelled) || k >= count ? 0 : count - k;
        n = n < most ? n : most;
    } while (n > 0 && !atomic_compare_exchange_weak(&j->next, &k, k + n));
    *first = k;
    return n;
}

static void
tell(job *j)
{
    subi_message m = subi_message_none();
    subi_channel_send(j->ready, SUBI_NOBODY, &m, SUBI_TRY);  // full: it has been told
}

// Sequentially consistent, as `awaited` is: either the submitter sees the state or we see that it waits.
void
subi_job_finish(job *j, size_t k, item_state state)
{
    atomic_store(&subi_job_item(j, k)->state, (int)state);
    atomic_fetch_add(&j->finished, 1);
    if (atomic_load(&j->awaited) == k || atomic_load(&j->tells_all)) {
        tell(j);
    }
}

// Whoever adds an item sees that there are fewer workers, or we see the item.
bool
subi_job_leave(job *j)
{
    atomic_fetch_sub(&j->workers, 1);
    if (atomic_load(&j->cancelled) ||
        (atomic_load(&j->next) >= atomic_load(&j->count) && atomic_load(&j->returned) == 0)) {
        return true;
    }
    atomic_fetch_add(&j->workers, 1);
    return false;
}

void
subi_job_cancel(job *j, bool lost)
{
    atomic_store(&j->cancelled, true);
    if (lost) {
        atomic_store(&j->lost, true);
    }
    tell(j);
}
