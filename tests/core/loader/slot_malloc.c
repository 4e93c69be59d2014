// SPDX-License-Identifier: MIT
//
// Another malloc, which ends the program when it gets a block that it has not made.
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MARK UINT64_C(0x6b636f6c6220796d)

typedef struct head {
    uint64_t mark;
    void *raw;
    size_t size, unused;
} head;

void *__libc_malloc(size_t size);
void __libc_free(void *block);

static head *
head_of(void *block)
{
    static const char text[] = "a block of another malloc\n";
    head *h = (head *)block - 1;
    if (h->mark != MARK) {
        ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);
        (void)n;
        abort();
    }
    return h;
}

void *
memalign(size_t alignment, size_t size)
{
    alignment = alignment < sizeof(head) ? sizeof(head) : alignment;
    if (size > PTRDIFF_MAX - 2 * alignment) {
        errno = ENOMEM;
        return NULL;
    }
    char *raw = __libc_malloc(size + 2 * alignment);
    if (raw == NULL) {
        return NULL;
    }
    uintptr_t at = ((uintptr_t)raw + sizeof(head) + alignment - 1) & ~(uintptr_t)(alignment - 1);
    head *h = (head *)at - 1;
    *h = (head){.mark = MARK, .raw = raw, .size = size};
    return (void *)at;
}

void *
aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int
posix_memalign(void **block, size_t alignment, size_t size)
{
    void *made = memalign(alignment, size);
    if (made == NULL) {
        return ENOMEM;
    }
    *block = made;
    return 0;
}

void *
malloc(size_t size)
{
    return memalign(sizeof(head), size);
}

void
free(void *block)
{
    if (block != NULL) {
        head *h = head_of(block);
        h->mark = 0;
        __libc_free(h->raw);
    }
}

void *
calloc(size_t count, size_t size)
{
    if (size != 0 && count > PTRDIFF_MAX / size) {
        errno = ENOMEM;
        return NULL;
    }
    void *block = malloc(count * size);
    return block != NULL ? memset(block, 0, count * size) : NULL;
}

void *
realloc(void *block, size_t size)
{
    size_t old = block != NULL ? head_of(block)->size : 0;
    void *moved = malloc(size);
    if (moved != NULL && block != NULL) {
        memcpy(moved, block, old < size ? old : size);
        free(block);
    }
    return moved;
}

void *
reallocarray(void *block, size_t count, size_t size)
{
    if (size != 0 && count > PTRDIFF_MAX / size) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, count * size);
}

size_t
malloc_usable_size(void *block)
{
    return block != NULL ? head_of(block)->size : 0;
}
