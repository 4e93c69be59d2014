// SPDX-License-Identifier: MIT
//
// The interpreters in the core's reserve, from which create() takes them: those that are made in advance, on a
// thread of their own (closed ones: see lifecycle.c and renewal/), and what programs say of the reserve.
#ifndef SUBI_SPARES_H
#define SUBI_SPARES_H

#include "state.h"

// In the main runtime, attached or not: lets them be made if some are wanted. The thread ends when there are
// enough of them. Nothing is told of what fails.
void subi_advance(void);

extern PyMethodDef subi_spares_functions[];

#endif
