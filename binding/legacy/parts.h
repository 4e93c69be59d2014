// SPDX-License-Identifier: MIT
//
// The functions of `_xxsubinterpreters`, for legacy.c, and what they share.
#ifndef SUBI_LEGACY_PARTS_H
#define SUBI_LEGACY_PARTS_H

#include "state.h"

#define KEYWORDS    METH_VARARGS | METH_KEYWORDS
#define FUNCTION(f) (PyCFunction)(void (*)(void)) f

extern PyMethodDef subi_legacy_interp_functions[];
extern PyMethodDef subi_legacy_channel_functions[];

// The state of the binding, which the module uses.
module_state *subi_legacy_state(PyObject *module);

// What may be sent is less than the codec can do. -1 with the exception that 3.11 raises.
int subi_legacy_check_shareable(module_state *state, PyObject *obj);

// A list of InterpreterID objects, without those that are gone. NULL with an exception set.
PyObject *subi_legacy_list(module_state *state, const int64_t *ids, size_t count);

#endif
