// SPDX-License-Identifier: MIT
//
// Symbols that are unique in a process (STB_GNU_UNIQUE: statics of C++ templates and inline functions)
// are unique in a slot. The first library that has one, of those that the slot loads, keeps it. The
// copies of later ones want it from that one, and need that one. If a library that copies share has it,
// it is that one's, as it is for the library itself.
#ifndef SUBI_UNIQUE_H
#define SUBI_UNIQUE_H

#include "slot.h"

// Which of a file's are others'. The slot keeps it, so that threads that load one file get one copy.
typedef struct subi__unique {
    struct subi__unique *next;
    subi__identity source;
    size_t own;         // how many are the file's
    uint32_t *foreign;  // numbers of those that are others', ascending; malloc'd
    size_t foreign_count;
    const char **needed;  // names of the copies that have these; malloc'd
    size_t needed_count;
    uint64_t mark;  // of all that: other copies have another one
    bool no_memory;
} subi__unique;

// Finds it once, and again if a copy was unloaded. NULL: out of memory.
const subi__unique *subi__unique_find(subi_slot *s, const subi__source *source, bool unloaded);

// c is the copy: whatever is loaded from now on finds there what it has.
void subi__unique_keep(const subi__unique *u, subi__loaded *c);

void subi__unique_free(subi__unique *list);

#endif
