// SPDX-License-Identifier: MIT
//
// Giving a closed interpreter back the state it was born with, so that it can serve once more: most
// of the time that a short-lived interpreter costs goes into making and ending it. What the life
// added is taken away: modules, `__main__`, changed attributes, thread states, settings. That is
// never taken on trust: if the interpreter is not proved to be as it was (birth.h), it is ended.
#ifndef SUBI_RENEW_H
#define SUBI_RENEW_H

#include "backend.h"

// Renews an interpreter whose threads have ended and whose atexit functions have run. Attached
// with the calling thread's thread state, which is the only one. True: it is as new, and has no
// thread state any more. False: it has to be ended; attached as before. Finalizers have run, which
// may have started threads.
bool subi_renew(native *n);

#endif
