// SPDX-License-Identifier: MIT
//
// What tasks call, encoded once for all of them that call the same. The submitter keeps the last few, so
// that another task may have the same one; a worker keeps what it has made of each, for as long as somebody
// else has it, too.
#ifndef SUBI_CALLEE_H
#define SUBI_CALLEE_H

#include <stdatomic.h>

#include "state.h"

#define CALLEES_KEPT 8

typedef struct callee {
    _Atomic unsigned references;  // atomic: the last one frees it
    subi_message message;
} callee;

void subi_callee_hold(callee *c);
void subi_callee_drop(callee *c);  // NULL is allowed

// In the submitter's interpreter. All zero is empty.
typedef struct callees {
    struct {
        PyObject *object;
        callee *callee;
    } kept[CALLEES_KEPT];
    size_t next;  // which is replaced next
} callees;

// What is to be sent for obj, as a new reference: the same as last time, if it is encoded the same.
// NULL with an exception.
callee *subi_callees_find(module_state *state, callees *all, PyObject *obj);
int subi_callees_traverse(callees *all, visitproc visit, void *arg);
void subi_callees_clear(callees *all);

// In a worker's interpreter. All zero is empty.
typedef struct known_callees {
    struct {
        callee *callee;
        PyObject *object;
    } known[CALLEES_KEPT];
    size_t next;
} known_callees;

// What c is here: a new reference, or NULL with an exception.
PyObject *subi_callee_decode(module_state *state, known_callees *all, callee *c);

// Forgets those that nobody else has any more, or all.
void subi_known_callees_trim(known_callees *all, bool completely);

#endif
