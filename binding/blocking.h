// SPDX-License-Identifier: MIT
//
// Waiting without the GIL, and what Python wants of a wait: time-outs in seconds and Ctrl-C.
#ifndef SUBI_BLOCKING_H
#define SUBI_BLOCKING_H

#include "backend.h"
#include "state.h"

// Converts a time-out argument: None or NULL is for ever, else a number of seconds >= 0, as float.
// -1 with TypeError, ValueError or OverflowError, or what its __float__ raised, which is called once.
int subi_parse_timeout(PyObject *timeout, int64_t *deadline);

// The same, but the number -1 is no time-out, either. 1: there is one; 0: there is none.
int subi_parse_timeout_or_minus_one(PyObject *timeout, int64_t *deadline);

// Runs the handlers of signals that came while this thread was waiting. When the thread is inside
// a run that began on the main thread, that is where they run; the exception they raise there is
// kept for the end of the run, and KeyboardInterrupt is raised here.
// -1 with an exception set: give up waiting.
int subi_check_signals(module_state *state);

// Around a wait of the core's, which is without the GIL. What wakes it may be a signal, also one that came before:
// after SUBI_INTERRUPTED, subi_check_signals is to be called.
PyThreadState *subi_wait_begin(module_state *state);
void subi_wait_end(PyThreadState *tstate);

// What a result of the core's means for the caller. SUBI_INTERRUPTED, with SystemExit set: the process is
// ending.
subi_result subi_blocking_result(subi_result r);

// As the functions of the core: at first a try with the GIL held; when that would have to wait and
// the deadline allows it, without the GIL until the deadline. SUBI_INTERRUPTED comes with a Python
// exception set, no other result does.
subi_result subi_blocking_send(module_state *state, subi_channel *c, subi_message *m,
                               int64_t deadline);
subi_result subi_blocking_recv(module_state *state, subi_channel *c, subi_message *m,
                               int64_t deadline);
subi_result subi_blocking_recv_in_front(module_state *state, subi_channel *c, subi_message *m,
                                        int64_t deadline);
subi_result subi_blocking_select(module_state *state, subi_case *cases, size_t count,
                                 int64_t deadline, size_t *chosen);
subi_result subi_blocking_enter(module_state *state, subi_interp *i, int64_t deadline);
subi_result subi_blocking_begin_close(module_state *state, subi_interp *i, int64_t deadline);

// The end of a receive: obj is what was made of m, or NULL with an exception. Frees m; but for want of memory
// it goes back to the channel, to be received again. Returns obj.
PyObject *subi_received(subi_channel *c, subi_message *m, PyObject *obj);

// The run of interpreter i that the thread with this thread state, which is attached or waits for its
// run's end, is in; NULL: none.
native *subi_run_of_thread(subi_interp *i, PyThreadState *tstate);

// For functions of the core that wait with a subi_patience: detach gives the GIL back and makes the
// patience, whose signal handlers run with the GIL; attach takes it again, and returns r as above.
typedef struct subi_detached {
    module_state *state;
    PyThreadState *tstate;
    subi_patience patience;
} subi_detached;

void subi_detach(subi_detached *d, module_state *state, int64_t deadline);
subi_result subi_attach(subi_detached *d, subi_result r);

// See runtime.h. Runs the handlers of pending signals in the caller of n's run; true: one raised.
bool subi_handle_signals_here(native *n);

#endif
