// SPDX-License-Identifier: MIT
//
// Interpreter.stats().
#ifndef SUBI_STATS_H
#define SUBI_STATS_H

#include "state.h"

PyObject *subi_interpreter_stats(PyObject *self, PyObject *unused);

extern const char subi_stats_doc[];

#endif
