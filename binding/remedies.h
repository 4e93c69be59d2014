// SPDX-License-Identifier: MIT
//
// Remedies for faults of CPython that nothing but its internal headers gives access to.
#ifndef SUBI_REMEDIES_H
#define SUBI_REMEDIES_H

#include "state.h"

// Makes forks succeed while there are other interpreters. Once for each runtime; may be repeated.
int subi_remedies_init(void);

// Before the first interpreter is made, attached to the main one.
void subi_remedies_before_first(void);

// At the end of the process: CPython leaves that interpreter alone, and all that it has.
void subi_remedies_leave(PyInterpreterState *interp);

// At the end of the process, attached to the main interpreter, when all others are closed.
void subi_remedies_at_exit(void);

#endif
