// SPDX-License-Identifier: MIT
//
// Tasks whose time may be over, or which are to be interrupted since they have been cancelled. The thread
// that completes futures looks at them.
#ifndef SUBI_DEADLINES_H
#define SUBI_DEADLINES_H

#include "pool_type.h"

// t->timeout is set, or its future has been taken since it is cancelled. Wakes that thread.
void subi_deadlines_add(pool_object *po, task *t);

// When to look next; SUBI_FOREVER: there is nothing.
int64_t subi_deadlines_next(const pool_object *po);

// Interrupts what has had its time. What does not end within a second after that is given up: its future gets
// TimeoutError, and po->lost is called.
void subi_deadlines_look(pool_object *po);

void subi_deadlines_clear(pool_object *po);

#endif
