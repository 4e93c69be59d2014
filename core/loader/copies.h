// SPDX-License-Identifier: MIT
//
// Edited copies of shared objects, in a folder that all processes of a user share. A copy is written
// once, under another name, and then renamed: whoever sees it sees all of it. Copies are never
// changed; old ones are removed when there are too many, which does no harm to those who have them
// loaded.
#ifndef SUBI_COPIES_H
#define SUBI_COPIES_H

#include <limits.h>

#include "elf_edit.h"

// What tells files apart, and a file from what it was before.
typedef struct subi__identity {
    uint64_t device, inode, changed;
} subi__identity;

static inline bool
subi__same(const subi__identity *a, const subi__identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->changed == b->changed;
}

// A shared object, mapped for reading.
typedef struct subi__source {
    const struct subi__source *user;  // which needs it; NULL: nobody, at first
    char *path;                       // absolute
    char *folder;                     // of path
    subi__identity id;
    const void *bytes;
    size_t size;
} subi__source;

// The folder of a file with an absolute path, malloc'd. NULL: out of memory.
char *subi__folder_of(const char *path);

// SUBI_NOT_FOUND: it cannot be read, or is no regular file; *why says so (a static string, or
// strerror's), and errno. The caller closes it.
subi_result subi__source_open(const char *path, subi__source *s, const char **why);
void subi__source_close(subi__source *s);

#define SUBI__COPY_NAME_MAX 128

// Adds a text to what tells copies apart.
void subi__mix(uint64_t *bound, const char *text);

// The name of the copy of s for one slot, which is also its SONAME. `bound` tells apart copies of one
// source that are bound to different libraries.
void subi__copy_name(const subi__source *s, unsigned slot, uint64_t bound,
                     char name[SUBI__COPY_NAME_MAX]);

// *path gets the path of the copy of that name, and *id what it is; it is written if it is not there.
// why gets a text of at most size bytes on failure: SUBI_INVALID (s is not what can be edited), SUBI_NOT_FOUND
// (no folder to write to, no room, ...), SUBI_NOMEM.
subi_result subi__copy_provide(const subi__source *s, const char *name, const subi__elf_edit *edit,
                               char path[PATH_MAX], subi__identity *id, char *why, size_t size);

// Another process may remove a copy, or replace it, before it is loaded: then once more, at most so
// often. True: it is still that file.
#define SUBI__COPY_ATTEMPTS 10
bool subi__copy_is(const char *path, const subi__identity *id);

#endif
