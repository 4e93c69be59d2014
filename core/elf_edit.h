// SPDX-License-Identifier: MIT
//
// Edits of ELF shared objects, in memory. They make it possible to load one file several times into a
// process: each copy gets a name of its own, and is bound to libraries of its own.
//
// The input may be any bytes: what is not a 64-bit shared object of this machine, or contradicts
// itself, is refused.
#ifndef SUBI_ELF_EDIT_H
#define SUBI_ELF_EDIT_H

#include "subinterp.h"

// What to change; NULL leaves it as it is.
typedef struct subi__elf_edit {
    const char *soname;
    const char *runpath;  // in the place of DT_RUNPATH and DT_RPATH
    const char *needed;   // a library that is needed, too
    const char *instead;  // the one that `needed` replaces, if it is needed
} subi__elf_edit;

// *out gets an edited copy, malloc'd. SUBI_INVALID: not such a file; *why says what is wrong with it.
// SUBI_NOMEM.
subi_result subi__elf_edit_copy(const void *file, size_t size, const subi__elf_edit *edit,
                                void **out, size_t *out_size, const char **why);

// Calls `each` with the name of every library that the file needs, until it returns false.
// SUBI_INVALID, with *why.
subi_result subi__elf_needed(const void *file, size_t size, bool (*each)(const char *, void *),
                             void *arg, const char **why);

// Whether the file wants a symbol from others whose name begins with prefix. SUBI_INVALID, with *why.
subi_result subi__elf_wants(const void *file, size_t size, const char *prefix, bool *wants,
                            const char **why);

#endif
