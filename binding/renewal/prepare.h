// SPDX-License-Identifier: MIT
//
// What the next life of a renewed interpreter is likely to begin with is done while nobody waits for it: what this
// life has needed, too. It is taken away when the interpreter is renewed again, like all that a life adds.
#ifndef SUBI_PREPARE_H
#define SUBI_PREPARE_H

#include "backend.h"

typedef struct life_needs {
    bool module;  // ours
    bool folder;  // what the first folder of sys.path has, where imports search
} life_needs;

// What the life has needed that is ending. Attached.
life_needs subi_needs_of_life(void);

// Attached to an interpreter that is as new. Gives it what it inherited last, see inheritance.h, which need not be
// what it will inherit; our module, out of sight; and looks into that folder. What fails is left for later.
void subi_prepare(native *n, life_needs needs);

#endif
