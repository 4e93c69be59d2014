// SPDX-License-Identifier: MIT
//
// Closed interpreters whose memory others still use: their native interpreter ends when the last
// export has been released. See "Buffers" in docs/internals.md.
#ifndef SUBI_LINGER_H
#define SUBI_LINGER_H

#include "backend.h"

// In a closing, attached, with no other thread left: whether n's interpreter has to linger. Empties
// it when it has exports, since what it has itself may be what keeps them. With `last`, if the answer
// is false, nothing can be exported any more: the interpreter is about to end.
bool subi_linger_needed(native *n, bool last);

// In a closing that succeeded, of an interpreter that has to linger, without thread state in it: closes
// i, takes over n and the interpreter's own reference to i.
void subi_linger(subi_interp *i, native *n);

// See runtime.h. The core calls the first one for an interpreter that lingers, one thread at a time;
// false: not yet. No thread state.
bool subi_linger_end_if_possible(subi_interp *i, void *native);
bool subi_linger_end_here(subi_interp *i, native *n);

// At the end of the process, in the main interpreter, when all others are closed: ends those that can
// be ended, and leaves the others, whose memory may be in use, as they are. Afterwards nothing of the
// main interpreter's is released any more. False: a release is in progress that does not end.
bool subi_linger_at_exit(subi_interp *main);

#endif
