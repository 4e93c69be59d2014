// SPDX-License-Identifier: MIT
//
// The memory of a private runtime: whatever it takes with PyMem_RawMalloc, and the arenas of its
// obmalloc. CPython does not give all of it back when a runtime is finalized, and modules that are
// initialized once in a process keep their objects; so each block is listed, and what is left goes
// when the code that knows of it has gone.
//
// A heap belongs to the runtime that uses it, but its memory and lists do not: any other can free it.
#ifndef SUBI_HEAP_H
#define SUBI_HEAP_H

#include <stddef.h>

typedef struct heap heap;

// Makes this copy's runtime, which is not preinitialized yet, take its memory from a new heap. NULL:
// out of memory, nothing changed.
heap *subi_heap_install(void);

// How many bytes its blocks and arenas have, used or not.
size_t subi_heap_size(heap *h);

// Frees what is left in it. No code of the runtime can run any more. h may be NULL.
void subi_heap_free(heap *h);

#endif
