// SPDX-License-Identifier: MIT
//
// A table of objects by process-wide id. Ids count up from `next_id` and are never given twice,
// so a stale id finds nothing. The table does not keep its objects alive: an object leaves the
// table, under the table's lock, when its last reference is dropped.
//
//     subi__table_add(&t, &o->entry)      gives the object its id and one reference
//     subi__table_find(&t, id)            a new reference, or NULL
//     if (subi__table_drop(&t, &o->entry)) destroy(o);
#ifndef SUBI_TABLE_H
#define SUBI_TABLE_H

#include <stdatomic.h>
#include <stddef.h>

#include "lock.h"
#include "subinterp.h"

// What an object of a table has inside.
typedef struct subi__entry {
    int64_t id;                 // set once by subi__table_add
    uint32_t generation;        // set once by subi__table_add
    bool listed;                // guarded by the table's lock
    _Atomic size_t references;  // atomic; 0 only on the way to destruction
} subi__entry;

typedef struct subi__table {
    subi__lock lock;
    int64_t next_id;      // guarded by lock, like all that follows
    size_t count;         // entries in slots; at most 3/4 of size
    size_t size;          // of slots: 0 or a power of two
    subi__entry **slots;  // open addressing with linear probing; NULL is free
} subi__table;

#define SUBI__TABLE_INIT {.lock = SUBI__LOCK_INIT}

// SUBI_NOMEM leaves the table as it was.
subi_result subi__table_add(subi__table *t, subi__entry *e);

subi__entry *subi__table_find(subi__table *t, int64_t id);

// The first object for which test(e, arg) holds, as a new reference, or NULL. test is called
// under the table's lock and must not block.
subi__entry *subi__table_search(subi__table *t, bool (*test)(subi__entry *, const void *),
                                const void *arg);

// Calls visit(e, arg) for all objects, also those that are on the way to destruction, under the
// table's lock. It must not block.
void subi__table_each(subi__table *t, void (*visit)(subi__entry *, const void *), const void *arg);

// Takes the entry out, so that its id finds nothing; references stay. False: it was out already.
bool subi__table_unlist(subi__table *t, subi__entry *e);
bool subi__table_listed(subi__table *t, subi__entry *e);

static inline void
subi__entry_hold(subi__entry *e)
{
    // relaxed: the caller has a reference, so the object is already visible to it
    atomic_fetch_add_explicit(&e->references, 1, memory_order_relaxed);
}

// Drops a reference. True: it was the last, the entry has left the table, destroy the object.
// Objects of another generation are never destroyed: their locks may be held by threads that did
// not survive the fork.
bool subi__table_drop(subi__table *t, subi__entry *e);

// The ids of the entries for which test holds (all when test is NULL), ascending.
subi_result subi__table_ids(subi__table *t, bool (*test)(subi__entry *), int64_t **ids,
                            size_t *count);

// References to all entries, in no order. SUBI_NOMEM.
subi_result subi__table_snapshot(subi__table *t, subi__entry ***entries, size_t *count);

// Forgets all entries without touching them; for the child of a fork. Ids go on where they were,
// so that those of the parent's objects find nothing.
void subi__table_forget(subi__table *t);

#endif
