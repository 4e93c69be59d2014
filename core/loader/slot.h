// SPDX-License-Identifier: MIT
//
// What a slot has: the copies that are loaded, and what code in them has made. Users' side of it is in
// subinterp_runtime.h.
#ifndef SUBI_SLOT_H
#define SUBI_SLOT_H

#include <stdatomic.h>

#include "copies.h"
#include "lock.h"
#include "subinterp_runtime.h"

// A copy that is loaded.
typedef struct subi__loaded {
    struct subi__loaded *next;
    subi__identity source;
    char *original;  // the path of the source; malloc'd
    size_t opens;    // how often it was opened; code in copies may have closed it, too
    bool is_python;
    bool has_unique;  // guarded by lock: see unique.h
    char name[SUBI__COPY_NAME_MAX];
    char path[PATH_MAX];
} subi__loaded;

// A library that all slots share, and all that it needs. Many need the same ones, which
// need the same ones: each is looked through once.
typedef struct subi__plain {
    struct subi__plain *next;
    subi__identity source;
} subi__plain;

typedef struct subi__owned_key subi__owned_key;  // see keys.h
typedef struct subi__local subi__local;          // see locals.h
typedef struct subi__kept subi__kept;            // see locals.h

struct subi_slot {
    struct subi_slot *next;            // guarded by lock
    unsigned number;                   // set once
    char soname[SUBI__COPY_NAME_MAX];  // set once: of the copy of the libpython
    char python_name[256];             // set once: the SONAME of the libpython itself
    const char *malloc_library;        // set once: see malloc.h
    subi__loaded *copies;              // guarded by lock; the newest first; never removed
    subi__plain *plains;               // guarded by lock; never removed
    subi__owned_key *keys;             // guarded by lock
    subi__local *locals;               // guarded by lock; the newest first
    subi__kept *kept;                  // guarded by lock
    bool closing;                      // guarded by lock: its copies are being unmapped
    struct subi__unique *uniques;      // guarded by lock; never removed: see unique.h
    _Atomic uint32_t threads;          // atomic: see threads.h; a futex
    _Atomic bool unseen_threads;       // atomic: there may be threads that are not counted
    _Atomic bool stays;                // atomic: a copy cannot be unmapped
};

// The lock of all slots; no foreign code is called under it.
extern subi__lock subi__slots_lock;
extern subi_slot *subi__slots;  // guarded by lock; also those whose interpreter is gone

static inline void
subi__slots_acquire(void)
{
    subi__lock_acquire(&subi__slots_lock);
}

static inline void
subi__slots_release(void)
{
    subi__lock_release(&subi__slots_lock);
}

void subi__slots_survived(void);  // in the child of a fork, where copies stay loaded

// The copy of that source, or NULL. It may have been unloaded by code in copies.
subi__loaded *subi__loaded_find(subi_slot *s, const subi__source *source);
subi__loaded *subi__loaded_python(subi_slot *s);

// Counts one opening, of a copy that is new or of the one with the same path, which it returns. Takes
// over `new`.
subi__loaded *subi__loaded_add(subi_slot *s, subi__loaded *new);
void subi__loaded_free(subi__loaded *c);
void subi__loaded_again(subi__loaded *c);  // counts one opening

bool subi__is_plain(subi_slot *s, const subi__source *source);
void subi__plain_add(subi_slot *s, const subi__source *source);

// Whose copy has that address, if any. Unless c is NULL, *c gets the copy: NULL while its constructors
// run, since it is not listed then.
subi_slot *subi__slot_at(const void *address, subi__loaded **c);

// The number of the slot whose copy has that address, without a lock. SUBI_SLOTS_MAX: none has.
unsigned subi__slot_number_at(const void *address);

#endif
