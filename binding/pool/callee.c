// SPDX-License-Identifier: MIT
#include "callee.h"

#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"

void
subi_callee_hold(callee *c)
{
    atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
}

void
subi_callee_drop(callee *c)
{
    // release and acquire: what others did with it comes before it is freed
    if (c != NULL && atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) == 1) {
        subi_message_fini(&c->message);
        free(c);
    }
}

// ---- the submitter's --------------------------------------------------------------------------

// Whether a receiver makes the same of both. Segments are of one message only.
static bool
are_equal(const subi_message *a, const subi_message *b)
{
    if (a->tag != SUBI_TAG_BLOCK || b->tag != SUBI_TAG_BLOCK) {
        return false;
    }
    size_t size = subi_block_size(a->u.block);
    return size == subi_block_size(b->u.block) && subi_block_segment_count(a->u.block) == 0 &&
           subi_block_segment_count(b->u.block) == 0 &&
           memcmp(subi_block_bytes(a->u.block), subi_block_bytes(b->u.block), size) == 0;
}

// Takes m. NULL with an exception.
static callee *
new_callee(subi_message *m)
{
    callee *c = malloc(sizeof(*c));
    if (c == NULL) {
        subi_message_fini(m);
        PyErr_NoMemory();
        return NULL;
    }
    atomic_init(&c->references, 1);
    c->message = *m;
    return c;
}

static void
keep(callees *all, size_t k, PyObject *obj, callee *c)
{
    PyObject *old_object = all->kept[k].object;
    callee *old = all->kept[k].callee;
    subi_callee_hold(c);
    all->kept[k].object = Py_NewRef(obj);
    all->kept[k].callee = c;
    subi_callee_drop(old);
    Py_XDECREF(old_object);
}

callee *
subi_callees_find(module_state *state, callees *all, PyObject *obj)
{
    subi_message m;
    if (subi_encode(state, obj, &m) < 0) {
        return NULL;
    }
    size_t k = 0;
    while (k < CALLEES_KEPT && all->kept[k].object != obj) {
        k++;
    }
    if (k < CALLEES_KEPT && are_equal(&all->kept[k].callee->message, &m)) {
        subi_message_fini(&m);
        subi_callee_hold(all->kept[k].callee);
        return all->kept[k].callee;
    }
    callee *c = new_callee(&m);
    if (c != NULL) {
        if (k == CALLEES_KEPT) {
            k = all->next++ % CALLEES_KEPT;
        }
        keep(all, k, obj, c);
    }
    return c;
}

int
subi_callees_traverse(callees *all, visitproc visit, void *arg)
{
    for (size_t k = 0; k < CALLEES_KEPT; k++) {
        Py_VISIT(all->kept[k].object);
    }
    return 0;
}

void
subi_callees_clear(callees *all)
{
    for (size_t k = 0; k < CALLEES_KEPT; k++) {
        PyObject *object = all->kept[k].object;
        callee *c = all->kept[k].callee;
        all->kept[k].object = NULL;
        all->kept[k].callee = NULL;
        subi_callee_drop(c);
        Py_XDECREF(object);
    }
}

// ---- a worker's -------------------------------------------------------------------------------

static void
forget(known_callees *all, size_t k)
{
    callee *c = all->known[k].callee;
    PyObject *object = all->known[k].object;
    all->known[k].callee = NULL;
    all->known[k].object = NULL;
    subi_callee_drop(c);
    Py_XDECREF(object);
}

PyObject *
subi_callee_decode(module_state *state, known_callees *all, callee *c)
{
    for (size_t k = 0; k < CALLEES_KEPT; k++) {
        if (all->known[k].callee == c) {
            return Py_NewRef(all->known[k].object);
        }
    }
    PyObject *object = subi_decode(state, &c->message);
    if (object != NULL) {
        size_t k = all->next++ % CALLEES_KEPT;
        forget(all, k);
        subi_callee_hold(c);
        all->known[k].callee = c;
        all->known[k].object = Py_NewRef(object);
    }
    return object;
}

void
subi_known_callees_trim(known_callees *all, bool completely)
{
    for (size_t k = 0; k < CALLEES_KEPT; k++) {
        callee *c = all->known[k].callee;
        // only we can make it more again, when it is one
        if (c != NULL &&
            (completely || atomic_load_explicit(&c->references, memory_order_acquire) == 1)) {
            forget(all, k);
        }
    }
}
