// SPDX-License-Identifier: MIT
//
// What a file is bound to: the libraries that it needs and that are copies, too.
#ifndef SUBI_BIND_H
#define SUBI_BIND_H

#include "elf_edit.h"
#include "slot.h"

typedef struct subi__binding {
    subi_slot *slot;
    const subi__source *source;
    bool copied;  // it, or what it needs, is what each slot has to have for itself
    bool failed;  // the error is set
    size_t count;
    subi__elf_rename *renames;
    uint64_t bound;  // its copy names it: the copies for other names are other files
    size_t unfound_count;
    char **unfound;  // libraries that only the dynamic linker may find
} subi__binding;

// Loads copies of what source needs and each slot has to have for itself. Either way, to be ended with subi__unbind.
void subi__bind(subi__binding *b, subi_slot *s, const subi__source *source);
void subi__unbind(subi__binding *b);

// It is loaded, and with it what only the dynamic linker has found. False: that is a library that calls
// Python, which is bound to the runtime of the program; the error is set.
bool subi__bind_check(const subi__binding *b);

// Whether the file itself wants symbols of Python.
bool subi__calls_python(const subi__source *source);

// Whether each slot has to have its own, for what is in the file itself: it calls Python, or keeps what
// only one interpreter at a time may use.
bool subi__is_copied(const subi__source *source);

// Whether it is one of the names of the slot's libpython.
bool subi__is_libpython(const subi_slot *s, const char *name);

#endif
