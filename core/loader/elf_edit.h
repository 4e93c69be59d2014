// SPDX-License-Identifier: MIT
//
// Edits of ELF shared objects, in memory. They make it possible to load one file several times into
// a process: each copy gets a name of its own, and is bound to libraries of its own. The input may be
// any bytes, as in elf_image.h.
#ifndef SUBI_ELF_EDIT_H
#define SUBI_ELF_EDIT_H

#include "subinterp.h"

typedef struct subi__elf_rename {
    const char *from;
    const char *to;  // NULL: it is not needed any more
} subi__elf_rename;

// What to change; NULL leaves it as it is.
typedef struct subi__elf_edit {
    const char *soname;
    const char *origin;         // what $ORIGIN in DT_RUNPATH and DT_RPATH stands for
    const char *const *needed;  // libraries that are needed, too, before the others; NULL ends them
    const subi__elf_rename *renames;  // of libraries that are needed
    size_t rename_count;
    const uint32_t *foreign;  // numbers, ascending, of unique symbols that others have
    size_t foreign_count;
} subi__elf_edit;

#define SUBI__ELF_HEADER_SIZE 64

// A byte that is another one in the copy.
typedef struct subi__elf_byte {
    uint64_t offset;
    unsigned char value;
} subi__elf_byte;

// How an edited copy differs from its source: another header, some bytes, and more bytes at a later
// offset. What lies between the end of the source and these is 0.
typedef struct subi__elf_patch {
    unsigned char header[SUBI__ELF_HEADER_SIZE];
    subi__elf_byte *changed;  // malloc'd; may be NULL
    size_t changed_count;
    uint64_t offset;
    size_t size;
    unsigned char *bytes;  // malloc'd
} subi__elf_patch;

void subi__elf_patch_fini(subi__elf_patch *p);

// Symbols that are unique in the process (STB_GNU_UNIQUE: statics of C++ templates and inline
// functions) become ordinary ones, so that each copy has its own; foreign ones are wanted from others.
// SUBI_INVALID: not such a file; *why says what is wrong with it. SUBI_NOMEM.
subi_result subi__elf_edit_make(const void *file, size_t size, const subi__elf_edit *edit,
                                subi__elf_patch *patch, const char **why);

#endif
