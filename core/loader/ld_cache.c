// SPDX-License-Identifier: MIT
#include "ld_cache.h"

#include <string.h>

#if defined(__aarch64__)
#define FLAGS 0x0a03  // what ldconfig writes for libraries of glibc and 64 bits
#else
#define FLAGS 0x0303
#endif

// Before glibc 2.32 there is a table for older ones first.
#define OLD_MAGIC       "ld.so-1.7.0"
#define OLD_HEADER_SIZE 16
#define OLD_ENTRY_SIZE  12

typedef struct header {
    char magic[20];
    uint32_t count;
    uint32_t strings_size;
    uint32_t unused[5];
} header;

// Texts are at offsets from the header.
typedef struct entry {
    int32_t flags;
    uint32_t name, path;
    uint32_t system;
    uint64_t processor;  // 0: any
} entry;

static const char magic[] = "glibc-ld.so.cache1.1";

static size_t
skip_old(const char *file, size_t size)
{
    uint32_t count;
    if (size < OLD_HEADER_SIZE || memcmp(file, OLD_MAGIC, strlen(OLD_MAGIC)) != 0) {
        return 0;
    }
    memcpy(&count, file + OLD_HEADER_SIZE - sizeof(count), sizeof(count));
    uint64_t end = OLD_HEADER_SIZE + (uint64_t)count * OLD_ENTRY_SIZE;
    end = (end + 7) & ~UINT64_C(7);
    return end < size ? (size_t)end : size;
}

static const char *
text(const char *table, size_t size, uint32_t offset)
{
    return offset < size && memchr(table + offset, 0, size - offset) != NULL ? table + offset
                                                                             : NULL;
}

const char *
subi__ld_cache_find(const void *file, size_t size, const char *name)
{
    header h;
    entry e;
    size_t old = skip_old(file, size);
    const char *table = (const char *)file + old;
    size -= old;
    if (size < sizeof(h)) {
        return NULL;
    }
    memcpy(&h, table, sizeof(h));
    if (memcmp(h.magic, magic, sizeof(h.magic)) != 0 || h.count > (size - sizeof(h)) / sizeof(e)) {
        return NULL;
    }
    for (uint32_t i = 0; i < h.count; i++) {
        memcpy(&e, table + sizeof(h) + i * sizeof(e), sizeof(e));
        const char *found = text(table, size, e.name), *path = text(table, size, e.path);
        if (e.flags == FLAGS && e.processor == 0 && found != NULL && path != NULL &&
            path[0] == '/' && strcmp(found, name) == 0) {
            return path;
        }
    }
    return NULL;
}
