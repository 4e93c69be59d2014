// SPDX-License-Identifier: MIT
//
// Interpreters that are made in advance, on a thread of their own: they go into the core's reserve, from which
// create() takes them.
#ifndef SUBI_ADVANCE_H
#define SUBI_ADVANCE_H

// In the main runtime, attached or not: lets them be made if some are wanted. The thread ends when there are
// enough of them. Nothing is told of what fails.
void subi_advance(void);

#endif
