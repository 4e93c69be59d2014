// SPDX-License-Identifier: MIT
//
// Giving an interpreter back the state it was born with, so that it can serve once more: most of
// the time that a short-lived interpreter costs goes into making and ending it.
//
// It is never taken on trust. When an interpreter is new, every object that its collector knows is
// noted, with the objects it refers to. Afterwards what the life added is taken away again:
// modules, `__main__`, changed attributes of the modules it was born with, thread states,
// settings. Then every object is looked at once more: if one is there that was not, or one refers
// to anything else than it did, the interpreter is not used again.
#ifndef SUBI_RENEW_H
#define SUBI_RENEW_H

#include "backend.h"

typedef struct birth birth;

// Notes the state of an interpreter in which no code of a user has run. Attached to it. NULL
// without an exception: it cannot be noted, and the interpreter cannot be renewed.
birth *subi_birth_new(void);

// Attached to its interpreter. NULL is allowed.
void subi_birth_free(birth *b);

// Gives the interpreter a `__main__` as it is at the beginning. Attached. -1: out of memory, no
// exception set.
int subi_birth_install_main(const birth *b);

// Whether the process has the environment variables that it had at the birth. No thread state.
bool subi_birth_fits_environment(const birth *b);

// Renews an interpreter whose threads have ended and whose atexit functions have run. Attached
// with the calling thread's thread state, which is the only one. True: it is as new, and has no
// thread state any more. False: it has to be ended; attached as before.
bool subi_renew(native *n);

#endif
