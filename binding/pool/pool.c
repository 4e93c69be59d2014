// SPDX-License-Identifier: MIT
#include "pool.h"

#include <stdlib.h>

#define NO_MEMORY_PAUSE INT64_C(1000000)  // ns

static void
drop_channel(subi_channel *c)
{
    if (c != NULL) {
        subi_channel_drop(c);
    }
}

static void
free_pool(pool *p)
{
    drop_channel(p->tasks);
    drop_channel(p->done);
    drop_channel(p->later);
    free(p);
}

pool *
subi_pool_new(void)
{
    pool *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return NULL;
    }
    atomic_init(&p->references, 1);
    atomic_init(&p->is_fetched, true);
    if (subi_channel_new_labelled(SUBI_UNBOUNDED, POOL_LABEL, &p->tasks) != SUBI_OK ||
        subi_channel_new_labelled(SUBI_UNBOUNDED, POOL_LABEL, &p->done) != SUBI_OK ||
        subi_channel_new_labelled(SUBI_UNBOUNDED, POOL_LABEL, &p->later) != SUBI_OK) {
        free_pool(p);
        return NULL;
    }
    return p;
}

void
subi_pool_hold(pool *p)
{
    atomic_fetch_add_explicit(&p->references, 1, memory_order_relaxed);
}

void
subi_pool_drop(pool *p)
{
    // release and acquire: what others did with it comes before it is freed
    if (atomic_fetch_sub_explicit(&p->references, 1, memory_order_acq_rel) == 1) {
        free_pool(p);
    }
}

subi_result
subi_pool_send(subi_channel *c, task *t)
{
    subi_message m = subi_task_message(t);
    return subi_channel_send(c, SUBI_NOBODY, &m, SUBI_TRY);
}

static subi_result
send_surely(subi_channel *c, subi_message m)
{
    subi_result r;
    while ((r = subi_channel_send(c, SUBI_NOBODY, &m, SUBI_TRY)) == SUBI_NOMEM) {
        size_t none;
        subi_select(NULL, 0, SUBI_NOBODY, subi_now() + NO_MEMORY_PAUSE, &none);
    }
    return r;
}

subi_result
subi_pool_send_surely(subi_channel *c, task *t)
{
    return send_surely(c, subi_task_message(t));
}

void
subi_pool_call(pool *p)
{
    if (!atomic_exchange(&p->called, true)) {
        send_surely(p->later, subi_message_none());  // closed: it is all over
    }
}

task *
subi_pool_take(subi_channel *c)
{
    subi_message m;
    return subi_channel_recv(c, SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK ? subi_task_of(&m) : NULL;
}
