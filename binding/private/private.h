// SPDX-License-Identifier: MIT
//
// The backend of private interpreters: each is the one interpreter of a Python runtime of its own,
// whose code is in a slot of the core. This is the part of the other runtimes; see start.c for the
// part that runs in the new one.
#ifndef SUBI_PRIVATE_H
#define SUBI_PRIVATE_H

#include "../backend.h"

// See backend.h.
int subi_private_prepare(module_state *state);
int subi_private_create(native *n, struct creation *c);
void subi_private_discard(native *n);

// What `python -m subinterpreters cache` needs.
extern PyMethodDef subi_private_functions[];

#endif
