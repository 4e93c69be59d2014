// SPDX-License-Identifier: MIT
//
// Which objects have been written to a message, so that what refers to one of them again becomes a
// number. A hash table of addresses, with linear probing; the first few objects take no memory.
#ifndef SUBI_MEMO_H
#define SUBI_MEMO_H

#include "state.h"

#define MEMO_FIRST 16

typedef struct memo_entry {
    PyObject *object;  // a reference: else its address might become another object's. NULL: free
    size_t number;
} memo_entry;

typedef struct memo {
    memo_entry *entries;
    size_t room;  // a power of two; more than count
    size_t count;
    memo_entry first[MEMO_FIRST];
} memo;

// The memo is not to be moved.
void subi_memo_init(memo *m);
void subi_memo_fini(memo *m);

// 1: obj was there, and *number is its number. 0: it has been added, under the next one. -1 with
// MemoryError.
int subi_memo_add(memo *m, PyObject *obj, size_t *number);

#endif
