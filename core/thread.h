// SPDX-License-Identifier: MIT
//
// The records of threads, for process.c and wait.c; the rest of it is in subinterp.h.
#ifndef SUBI_THREAD_H
#define SUBI_THREAD_H

#include "wait.h"

// Before and after the calling thread sleeps on w. SUBI_INTERRUPTED, SUBI_NOMEM: it is not to sleep.
subi_result subi__thread_parks(subi__wait *w);
void subi__thread_unparks(void);

void subi__thread_survived(void);  // in the child of a fork: only the calling thread is left

#endif
