// SPDX-License-Identifier: MIT
//
// Tasks whose time may be over, or which are to be interrupted since they have been cancelled. The thread
// that completes futures looks at them.
#ifndef SUBI_DEADLINES_H
#define SUBI_DEADLINES_H

#include "pool_type.h"

// t->timeout is set, or its future has been taken since it is cancelled. Wakes that thread.
void subi_deadlines_add(pool_object *po, task *t);

// It has come back.
void subi_deadlines_forget(task *t);

// When po->next_look is over. Interrupts what has had its time. What does not end within a second after that
// is given up: its future gets TimeoutError, and po->lost is called with the ident of the thread.
void subi_deadlines_look(pool_object *po);

void subi_deadlines_clear(pool_object *po);

#endif
