// SPDX-License-Identifier: MIT
//
// The type Interpreter, and the functions create, list_all, get_current and get_main.
#ifndef SUBI_INTERP_TYPE_H
#define SUBI_INTERP_TYPE_H

#include "state.h"

int subi_interp_type_init(module_state *state);

extern PyMethodDef subi_interp_functions[];

// What an Interpreter stands for. Borrowed.
subi_interp *subi_interp_of(PyObject *self);

// The object that stands for i in this interpreter: there is one at most. A new reference; NULL with an
// exception.
PyObject *subi_interpreter_new(module_state *state, subi_interp *i);

// The same for an id, an int. NULL with InterpreterNotFoundError, ValueError or MemoryError.
PyObject *subi_interpreter_by_id(module_state *state, PyObject *id);

#endif
