// SPDX-License-Identifier: MIT
//
// Making interpreters, whatever their kind. The caller packs what the new one gets of its own
// settings; the main runtime makes it; its own runtime sets it up.
#ifndef SUBI_CREATION_H
#define SUBI_CREATION_H

#include "backend.h"
#include "private/settings.h"
#include "state.h"

#define ERROR_MAX 1024

// One interpreter in the making.
typedef struct creation {
    subi_interp *record;
    const backend *backend;
    subi_make make;            // what it is to have
    native *n;                 // when it has been made
    subi_message inheritance;  // see inheritance.h
    bool is_whole;             // whether nothing of it is missing
    settings settings;         // of the caller; used for private ones
    char error[ERROR_MAX];     // when result is -1
    int result;                // 0, or -1
    PyThread_type_lock done;   // released by the other thread; NULL when there is none
} creation;

// Makes an interpreter, idle, with what it inherits of the caller. A new reference, which is also a user: to
// be given up with subi_lifecycle_drop_user. NULL with InterpreterError or MemoryError. name may be
// NULL. inherits_site: see site.h.
subi_interp *subi_lifecycle_create(module_state *state, const char *isolation, const char *name,
                                   bool inherits_site);

// In the main runtime, without a thread state: makes what it takes to become an interpreter, with a thread state for
// the calling thread. NULL: c->error says why.
native *subi_creation_make(creation *c);

// See runtime.h.
void subi_create_here(creation *c);
int subi_set_up_here(native *n, creation *c);

#endif
