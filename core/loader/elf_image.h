// SPDX-License-Identifier: MIT
//
// ELF shared objects in memory: what they say of themselves. The bytes may be any, and need not be
// aligned: what is not a 64-bit shared object of this machine, or contradicts itself, is refused.
#ifndef SUBI_ELF_IMAGE_H
#define SUBI_ELF_IMAGE_H

#include <elf.h>

#include "subinterp.h"

// Whether it is a file that the others can say something of. SUBI_INVALID, with *why.
subi_result subi__elf_check(const void *file, size_t size, const char **why);

// Whether it is for another machine: the dynamic linker passes over it when it searches for a library.
bool subi__elf_is_foreign(const void *file, size_t size);

// Calls `each` with the name of every library that the file needs, until it returns false.
// SUBI_INVALID, with *why.
subi_result subi__elf_needed(const void *file, size_t size, bool (*each)(const char *, void *),
                             void *arg, const char **why);

// Whether the file wants a symbol from others whose name begins with one of the prefixes, which NULL
// ends. SUBI_INVALID, with *why.
subi_result subi__elf_wants(const void *file, size_t size, const char *const *prefixes, bool *wants,
                            const char **why);

// Whether one of the texts, which NULL ends, is part of the name of a symbol, a library or a version.
bool subi__elf_mentions(const void *file, size_t size, const char *const *texts);

// Calls `each` with the name and the number of every symbol that the file has and that is to be unique
// in a process (STB_GNU_UNIQUE: statics of C++ templates and inline functions), unless it is NULL.
// Returns how many there are.
size_t subi__elf_unique(const void *file, size_t size, void (*each)(const char *, uint32_t, void *),
                        void *arg);

// Whether it is to stay in memory once it is loaded (-z nodelete).
bool subi__elf_stays(const void *file, size_t size);

// The text of an entry of the dynamic section (DT_SONAME, DT_RPATH, DT_RUNPATH), in the file. NULL:
// there is none.
const char *subi__elf_text(const void *file, size_t size, int64_t tag);

// The length of the word for a file's own folder ($ORIGIN) that a part of a run path begins with, or 0.
size_t subi__elf_origin(const char *path);

// ---- for edits --------------------------------------------------------------------------------

#define SUBI__ELF_HEADERS_MAX 64  // program headers that a file may have

// A file that has been looked through. Every pointer is into it, and what it says lies in it.
typedef struct subi__elf_image {
    const unsigned char *bytes;
    size_t size;
    const char *why;  // it was refused; a static string
    Elf64_Ehdr header;
    Elf64_Phdr dynamic;  // the segment with the dynamic section
    size_t entries;      // of that section, without the last, DT_NULL
    const char *strings;
    size_t strings_size;  // at least 1; the last byte is 0
} subi__elf_image;

// SUBI_INVALID, with m->why. The file is to stay as long as the image is used.
subi_result subi__elf_read(subi__elf_image *m, const void *file, size_t size);
subi_result subi__elf_invalid(subi__elf_image *m, const char *why);  // SUBI_INVALID

// Program headers and entries of the dynamic section, by their numbers.
Elf64_Phdr subi__elf_segment(const subi__elf_image *m, size_t index);
Elf64_Dyn subi__elf_entry(const subi__elf_image *m, size_t index);

// The value of the first entry with that tag. False: there is none.
bool subi__elf_find(const subi__elf_image *m, Elf64_Sxword tag, uint64_t *value);

// NULL: there is no such string.
const char *subi__elf_string(const subi__elf_image *m, uint64_t offset);

// Whether size bytes at offset are in the file; where in the file `size` bytes at an address come
// from.
bool subi__elf_has(const subi__elf_image *m, uint64_t offset, uint64_t size);
bool subi__elf_offset(const subi__elf_image *m, uint64_t address, uint64_t size, uint64_t *offset);

// Where the symbols are that the file has and wants, and how many, as its hash table tells. False: it is
// malformed.
bool subi__elf_symbols(const subi__elf_image *m, uint64_t *offset, uint64_t *count);

#endif
