// SPDX-License-Identifier: MIT
//
// A pool's tasks in the interpreter that submits them: the type Task, and what gives futures their results.
#ifndef SUBI_SUBMIT_H
#define SUBI_SUBMIT_H

#include "state.h"

int subi_submit_init(PyObject *module, module_state *state);

extern PyMethodDef subi_submit_functions[];

#endif
