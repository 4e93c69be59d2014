// SPDX-License-Identifier: MIT
//
// Raising an exception in code that runs in another interpreter, and counting the threads that are there.
#ifndef SUBI_INTERRUPT_H
#define SUBI_INTERRUPT_H

#include "backend.h"
#include "state.h"

typedef enum interruption_kind {
    INTERRUPT_EXIT,      // SystemExit, in its run and in the threads that it started
    INTERRUPT_KEYBOARD,  // KeyboardInterrupt, in its run
    INTERRUPT_CLASS,     // another exception, in its run
    INTERRUPT_NOTHING,   // its threads are counted
} interruption_kind;

typedef struct interruption {
    interruption_kind kind;
    subi_message exception;  // INTERRUPT_CLASS: the class, which may be sent
    uint64_t run;      // the number of the run: another one is left alone; not for INTERRUPT_EXIT
    uint32_t signals;  // the number of the SIGINT that it is for; 0: for none
} interruption;

// Makes the code that runs in interpreter i raise an exception at the next bytecode. The caller has no
// thread state. SUBI_OK: done. SUBI_TIMEOUT: C code kept the interpreter's GIL until the deadline;
// the attempt goes on, so the interpreter must not be ended any more. SUBI_NOMEM: no thread could
// be started for it. Takes over what `what` owns.
subi_result subi_interrupt(subi_interp *i, interruption what, int64_t deadline);

// The interruption of the run in progress, if there is one.
interruption subi_interruption(subi_interp *i, interruption_kind kind);

// See runtime.h. Raises it in what runs in n's interpreter.
void subi_interrupt_here(native *n, const interruption *what);

// How many threads interpreter i has: that of its run, and those that it started. The caller has no thread
// state. SUBI_CLOSED: it is closing or closed; and as subi_interrupt.
subi_result subi_count_threads(subi_interp *i, int64_t deadline, size_t *count);

// See runtime.h.
size_t subi_count_threads_here(native *n);

// What the core calls for runs on the initial thread when SIGINT has come.
void subi_interrupt_foreground(subi_interp *i, uint64_t number, uint32_t signals);

// By the thread of a run, attached: raises what an interruption has left for it. False: nothing.
bool subi_interrupt_take(void);

// At the end of a run, by its thread: an interruption that came too late is dropped, and one that came in an
// import keeps nobody from importing.
void subi_interrupt_end(native *n);

#endif
