// SPDX-License-Identifier: MIT
//
// From results of the core to exceptions, for the public API.
#ifndef SUBI_ERRORS_H
#define SUBI_ERRORS_H

#include <stddef.h>

#include "state.h"

// An exception class of ours, which is made when it is first wanted. Borrowed; MemoryError when there is no memory
// for it. An exception that is set stays set.
#define subi_error(state, name) subi_error_class(state, offsetof(module_state, name))
PyObject *subi_error_class(module_state *state, size_t field);

// Whether the exception that is set is one of that class.
#define subi_error_matches(state, name)                                                            \
    ((state)->name != NULL && PyErr_ExceptionMatches((state)->name))

// Makes all of them, and adds them to the module. -1 with an exception set on failure.
int subi_errors_init(PyObject *module, module_state *state);

// Sets the exception for a failed operation on a channel or an interpreter. Always NULL.
PyObject *subi_raise_channel(module_state *state, subi_result r, int64_t id);
PyObject *subi_raise_interp(module_state *state, subi_result r, int64_t id);

// The text of an int for a message. Very large ones cannot be had in decimal (see
// sys.set_int_max_str_digits), and are shortened. NULL with an exception set.
PyObject *subi_int_text(PyObject *number);

#endif
