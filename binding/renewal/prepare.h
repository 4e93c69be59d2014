// SPDX-License-Identifier: MIT
//
// What the next life of a renewed interpreter is likely to begin with is done when it is closed: what this life has
// needed, too. It is taken away when the interpreter is renewed again, like all that a life adds.
#ifndef SUBI_PREPARE_H
#define SUBI_PREPARE_H

#include "backend.h"

#define LIFE_FOLDERS_MAX 16

typedef struct life_needs {
    bool module;  // ours
    size_t count;
    PyObject *folders[LIFE_FOLDERS_MAX];  // str, absolute: some that imports have looked into
} life_needs;

// What the life has needed that is ending. Attached. To be given up with subi_life_needs_fini.
life_needs subi_needs_of_life(void);
void subi_life_needs_fini(life_needs *needs);

// Attached to an interpreter that is as new. Gives it what it inherited last, see inheritance.h, which need not be
// what it will inherit; our module, out of sight; and looks into the same folders. What fails is left for later.
void subi_prepare(native *n, const life_needs *needs);

#endif
