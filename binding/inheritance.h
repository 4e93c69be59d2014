// SPDX-License-Identifier: MIT
//
// What a new interpreter gets of the one that makes it: sys.path, sys.argv, and the filters of warnings.
#ifndef SUBI_INHERITANCE_H
#define SUBI_INHERITANCE_H

#include "state.h"

// Writes the caller's into *m. *is_whole: nothing of it is missing, which then stays as the new interpreter has it. -1
// with an exception set.
int subi_inheritance_pack(module_state *state, subi_message *m, bool *is_whole);

// Attached to the new interpreter, in which no code of a user has run in this life. -1 with an
// exception set.
int subi_inheritance_apply(const subi_message *m);

// Whether both are the same.
bool subi_inheritance_equal(const subi_message *a, const subi_message *b);

// The same once more; none if it cannot be shared.
subi_message subi_inheritance_share(const subi_message *m);

#endif
