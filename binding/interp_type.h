// SPDX-License-Identifier: MIT
//
// The type Interpreter, and the functions create, list_all, get_current and get_main.
#ifndef SUBI_INTERP_TYPE_H
#define SUBI_INTERP_TYPE_H

#include "state.h"

int subi_interp_type_init(PyObject *module, module_state *state);

extern PyMethodDef subi_interp_functions[];

#endif
