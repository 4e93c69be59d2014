// SPDX-License-Identifier: MIT
//
// How the module comes to be in an interpreter: it is imported, or, in one of ours, made without a search for it;
// that may also be done ahead, before the interpreter has a record.
#ifndef SUBI_STATE_MAKING_H
#define SUBI_STATE_MAKING_H

#include "state.h"

typedef enum state_making {
    STATE_WHOLE,    // it is imported
    STATE_IN_PART,  // without what can wait: see subi_state_complete
    STATE_AHEAD,    // the same, and without the record of its interpreter
} state_making;

// How the calling thread makes the module whose function is being executed.
state_making subi_state_making(void);

// The module, made ahead; a new reference. sys.modules does not have it: that is for subi_state_here, which finds it
// as native.module. NULL without an exception.
PyObject *subi_state_make_ahead(void);

// The last step: gives it the record of its interpreter. -1 with an exception. In module.c.
int subi_state_settle(module_state *state);

// For subi_module_file.
void subi_state_note_file(PyObject *module);

#endif
