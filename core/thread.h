// SPDX-License-Identifier: MIT
//
// The records of threads, for process.c; the rest of it is in subinterp.h.
#ifndef SUBI_THREAD_H
#define SUBI_THREAD_H

void subi__thread_survived(void);  // in the child of a fork: only the calling thread is left

#endif
