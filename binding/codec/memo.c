// SPDX-License-Identifier: MIT
#include "memo.h"

#include <stdlib.h>

void
subi_memo_init(memo *m)
{
    *m = (memo){.room = MEMO_FIRST};
    m->entries = m->first;
}

// Objects are aligned to 16 bytes: Fibonacci hashing spreads what is left of the address.
static size_t
place_of(const PyObject *obj, size_t room)
{
    uint64_t hash = (uint64_t)(uintptr_t)obj * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(hash >> 32) & (room - 1);
}

// Where obj is, or would be.
static memo_entry *
find(memo_entry *entries, size_t room, const PyObject *obj)
{
    size_t i = place_of(obj, room);
    while (entries[i].object != NULL && entries[i].object != obj) {
        i = (i + 1) & (room - 1);
    }
    return &entries[i];
}

static int
grow(memo *m)
{
    size_t room = m->room * 4;
    memo_entry *grown = calloc(room, sizeof(*grown));
    if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < m->room; i++) {
        if (m->entries[i].object != NULL) {
            *find(grown, room, m->entries[i].object) = m->entries[i];
        }
    }
    if (m->entries != m->first) {
        free(m->entries);
    }
    m->entries = grown;
    m->room = room;
    return 0;
}

int
subi_memo_add(memo *m, PyObject *obj, size_t *number)
{
    memo_entry *e = find(m->entries, m->room, obj);
    if (e->object != NULL) {
        *number = e->number;
        return 1;
    }
    if (m->count >= m->room / 2) {
        if (grow(m) < 0) {
            return -1;
        }
        e = find(m->entries, m->room, obj);
    }
    *e = (memo_entry){.object = Py_NewRef(obj), .number = m->count++};
    return 0;
}

void
subi_memo_fini(memo *m)
{
    for (size_t i = 0; i < m->room && m->count > 0; i++) {
        if (m->entries[i].object != NULL) {
            Py_DECREF(m->entries[i].object);
            m->count--;
        }
    }
    if (m->entries != m->first) {
        free(m->entries);
    }
}
