// SPDX-License-Identifier: MIT
//
// Starting and ending the private runtime that this copy of the code is in.
#ifndef SUBI_START_H
#define SUBI_START_H

#include "../backend.h"

struct settings;

// See runtime.h. n->kept gets the thread state of the calling thread.
int subi_private_start(native *n, subi_interp *record, const struct settings *s, char *error,
                       size_t size);

// Whether there was a subi_private_start: whether this copy of the code is a private runtime's.
bool subi_private_is_here(void);

// Before code runs: in a private runtime, the process's environment may have moved meanwhile.
void subi_private_refresh(void);

// Finalizes it. Attached, with the last thread state of ours; no thread state afterwards. n->unloadable
// says whether its code may go.
void subi_private_finish(native *n);

#endif
