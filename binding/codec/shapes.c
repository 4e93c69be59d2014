// SPDX-License-Identifier: MIT
#include "shapes.h"

#include <assert.h>
#include <string.h>

void
subi_shapes_init(shapes *s)
{
    s->used = 0;
}

static void
drop_keys(shape *s)
{
    while (s->count > 0) {
        Py_DECREF(s->keys[--s->count]);
    }
}

void
subi_shapes_fini(shapes *s)
{
    for (unsigned i = 0; s->used != 0; i++, s->used >>= 1) {
        if (s->used & 1) {
            drop_keys(&s->known[i]);
        }
    }
}

static unsigned
place_of(PyObject **keys, Py_ssize_t count)
{
    uint64_t hash = (uint64_t)count;
    for (Py_ssize_t i = 0; i < count; i++) {
        hash = hash * 31 + ((uint64_t)(uintptr_t)keys[i] >> 4);
    }
    return (unsigned)((hash * UINT64_C(0x9e3779b97f4a7c15)) >> 59);
}

static_assert(CODEC_SHAPES == 32, "place_of gives 5 bits, and `used` has 32");

bool
subi_shapes_find(shapes *s, PyObject **keys, Py_ssize_t count, unsigned *number)
{
    unsigned i = *number = place_of(keys, count);
    shape *known = &s->known[i];
    if ((s->used >> i & 1) == 0) {
        known->count = 0;
    }
    else if (known->count == count &&
             memcmp(known->keys, keys, (size_t)count * sizeof(*keys)) == 0) {
        return true;
    }
    drop_keys(known);
    for (known->count = 0; known->count < count; known->count++) {
        known->keys[known->count] = Py_NewRef(keys[known->count]);
    }
    s->used |= UINT32_C(1) << i;
    return false;
}

// ---- values -----------------------------------------------------------------------------------

void
subi_values_init(values *v)
{
    v->held = v->first;
    v->count = 0;
    v->room = VALUES_FIRST;
}

void
subi_values_fini(values *v)
{
    if (v->held != v->first) {
        PyMem_Free(v->held);
    }
}

static int
grow(values *v)
{
    size_t room = v->room * 2;
    bool on_heap = v->held != v->first;
    PyObject **grown = PyMem_Realloc(on_heap ? v->held : NULL, room * sizeof(*grown));
    if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (!on_heap) {
        memcpy(grown, v->first, sizeof(v->first));
    }
    v->held = grown;
    v->room = room;
    return 0;
}

static_assert(CODEC_SHAPE_KEYS <= VALUES_FIRST, "doubling is enough for a push");

PyObject **
subi_values_push(values *v, size_t n)
{
    if (v->room - v->count < n && grow(v) < 0) {
        return NULL;
    }
    v->count += n;
    return v->held + v->count - n;
}

void
subi_values_pop(values *v, size_t n, size_t filled)
{
    v->count -= n;
    for (size_t i = 0; i < filled; i++) {
        Py_DECREF(v->held[v->count + i]);  // runs no code that pushes: another message has its own
    }
}
