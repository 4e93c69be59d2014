// SPDX-License-Identifier: MIT
#include "heap.h"

#include <Python.h>
#include <malloc.h>
#include <pthread.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

// Before each block. The list is a ring.
typedef struct block {
    alignas(max_align_t) struct block *next;
    struct block *previous;
} block;

typedef struct arena {
    struct arena *next;
    void *memory;
    size_t size;
} arena;

struct heap {
    pthread_mutex_t lock;
    block blocks;   // guarded by lock; the head of the ring
    arena *arenas;  // guarded by lock
    size_t size;    // guarded by lock; bytes of both
};

// ---- blocks -----------------------------------------------------------------------------------

static void *
link_block(heap *h, block *b)
{
    pthread_mutex_lock(&h->lock);
    b->next = h->blocks.next;
    b->previous = &h->blocks;
    b->next->previous = b;
    h->blocks.next = b;
    h->size += malloc_usable_size(b);
    pthread_mutex_unlock(&h->lock);
    return b + 1;
}

static void
unlink_block(heap *h, block *b)
{
    pthread_mutex_lock(&h->lock);
    b->next->previous = b->previous;
    b->previous->next = b->next;
    h->size -= malloc_usable_size(b);
    pthread_mutex_unlock(&h->lock);
}

static void *
raw_malloc(void *ctx, size_t size)
{
    block *b = size <= PY_SSIZE_T_MAX - sizeof(*b) ? malloc(sizeof(*b) + size) : NULL;
    return b != NULL ? link_block(ctx, b) : NULL;
}

static void *
raw_calloc(void *ctx, size_t count, size_t size)
{
    if (size != 0 && count > (PY_SSIZE_T_MAX - sizeof(block)) / size) {
        return NULL;
    }
    block *b = calloc(1, sizeof(*b) + count * size);
    return b != NULL ? link_block(ctx, b) : NULL;
}

static void *
raw_realloc(void *ctx, void *memory, size_t size)
{
    if (memory == NULL) {
        return raw_malloc(ctx, size);
    }
    if (size > PY_SSIZE_T_MAX - sizeof(block)) {
        return NULL;
    }
    block *b = (block *)memory - 1;
    unlink_block(ctx, b);
    block *moved = realloc(b, sizeof(*b) + size);
    void *result = link_block(ctx, moved != NULL ? moved : b);
    return moved != NULL ? result : NULL;
}

static void
raw_free(void *ctx, void *memory)
{
    if (memory != NULL) {
        block *b = (block *)memory - 1;
        unlink_block(ctx, b);
        free(b);
    }
}

// ---- arenas -----------------------------------------------------------------------------------

static void *
arena_alloc(void *ctx, size_t size)
{
    heap *h = ctx;
    arena *a = malloc(sizeof(*a));
    void *memory =
        a != NULL ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                  : MAP_FAILED;
    if (memory == MAP_FAILED) {
        free(a);
        return NULL;
    }
    pthread_mutex_lock(&h->lock);
    *a = (arena){.next = h->arenas, .memory = memory, .size = size};
    h->arenas = a;
    h->size += size;
    pthread_mutex_unlock(&h->lock);
    return memory;
}

static void
arena_free(void *ctx, void *memory, size_t size)
{
    heap *h = ctx;
    pthread_mutex_lock(&h->lock);
    arena **link = &h->arenas;
    while (*link != NULL && (*link)->memory != memory) {
        link = &(*link)->next;
    }
    arena *a = *link;
    if (a != NULL) {
        *link = a->next;
        h->size -= a->size;
    }
    pthread_mutex_unlock(&h->lock);
    free(a);
    munmap(memory, size);
}

// ---- heaps ------------------------------------------------------------------------------------

static heap *installed;  // in this copy of the code; set once

// The child of a fork is to find the lock free: code runs there before subprocess executes a program.
static void
lock_for_fork(void)
{
    pthread_mutex_lock(&installed->lock);
}

static void
unlock_after_fork(void)
{
    pthread_mutex_unlock(&installed->lock);
}

heap *
subi_heap_install(void)
{
    heap *h = malloc(sizeof(*h));
    if (h == NULL) {
        return NULL;
    }
    installed = h;
    h->blocks.next = h->blocks.previous = &h->blocks;
    h->arenas = NULL;
    h->size = 0;
    pthread_mutex_init(&h->lock, NULL);
    pthread_atfork(lock_for_fork, unlock_after_fork, unlock_after_fork);  // go with this code
    PyMemAllocatorEx raw = {h, raw_malloc, raw_calloc, raw_realloc, raw_free};
    PyObjectArenaAllocator arenas = {h, arena_alloc, arena_free};
    PyMem_SetAllocator(PYMEM_DOMAIN_RAW, &raw);
    PyObject_SetArenaAllocator(&arenas);
    return h;
}

size_t
subi_heap_size(heap *h)
{
    pthread_mutex_lock(&h->lock);
    size_t size = h->size;
    pthread_mutex_unlock(&h->lock);
    return size;
}

void
subi_heap_free(heap *h)
{
    if (h == NULL) {
        return;
    }
    while (h->blocks.next != &h->blocks) {
        raw_free(h, h->blocks.next + 1);
    }
    while (h->arenas != NULL) {
        arena_free(h, h->arenas->memory, h->arenas->size);
    }
    pthread_mutex_destroy(&h->lock);
    free(h);
}
