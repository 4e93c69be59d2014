// SPDX-License-Identifier: MIT
//
// The function select.
#ifndef SUBI_SELECT_H
#define SUBI_SELECT_H

#include "state.h"

// Fills in a case, with a message, for each of a tuple of arguments as select() has them. -1 with an
// exception set: there are no messages.
int subi_select_parse(module_state *state, PyObject *args, subi_case *cases,
                      subi_message *messages);
void subi_select_clear(subi_message *messages, size_t count);

// What select() returns or raises for that result. SUBI_INTERRUPTED: an exception is set already.
PyObject *subi_select_result(module_state *state, subi_result r, const subi_case *cases,
                             size_t count, size_t chosen);

extern PyMethodDef subi_select_functions[];

#endif
