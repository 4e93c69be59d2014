// SPDX-License-Identifier: MIT
//
// From results of the core to exceptions, for the public API.
#ifndef SUBI_ERRORS_H
#define SUBI_ERRORS_H

#include "state.h"

// Adds the exception classes to the module. -1 with an exception set on failure.
int subi_errors_init(PyObject *module, module_state *state);
int subi_legacy_errors_init(PyObject *module, module_state *state);  // of _xxsubinterpreters

// Sets the exception for a failed operation on a channel or an interpreter. Always NULL.
PyObject *subi_raise_channel(module_state *state, subi_result r, int64_t id);
PyObject *subi_raise_interp(module_state *state, subi_result r, int64_t id);

// The text of an int for a message. Very large ones cannot be had in decimal (see
// sys.set_int_max_str_digits), and are shortened. NULL with an exception set.
PyObject *subi_int_text(PyObject *number);

#endif
