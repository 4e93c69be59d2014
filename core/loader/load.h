// SPDX-License-Identifier: MIT
//
// Loading into a slot: copies of what calls Python or has no locks, anything else itself.
#ifndef SUBI_LOAD_H
#define SUBI_LOAD_H

#include "slot.h"

// What became of a file.
typedef enum subi__outcome {
    SUBI__LOADED,  // as a copy
    SUBI__PLAIN,   // it is shared by all
    SUBI__FAILED,  // the error is set
} subi__outcome;

// Loads a copy of source, if each slot has to have its own, and of what it needs.
subi__outcome subi__load(subi_slot *s, const subi__source *source, int flags, void **handle,
                         subi__loaded **c);

// The same for whoever wants a handle: subi_slot_load for a file that is open. NULL: the error is set,
// or the dynamic linker's.
void *subi__load_handle(subi_slot *s, const subi__source *source, int flags);

// dlopen, for the slot.
void *subi__load_system(subi_slot *s, const char *path, int flags);

// The first copy of a slot: its libpython. False: the error is set.
bool subi__load_python(subi_slot *s, const subi__source *source);

// Where libsubinterp_interposer is: beside this library. False: the error is set.
bool subi__interposer_path(char path[PATH_MAX]);

// As subi__slot_at; for an address that is in no library, the slot that this thread is loading something
// into.
subi_slot *subi__slot_of(const void *address, subi__loaded **c);

#endif
