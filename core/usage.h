// SPDX-License-Identifier: MIT
//
// What the record of an interpreter has for usage.c; the rest of it is in subinterp_runtime.h.
#ifndef SUBI_USAGE_H
#define SUBI_USAGE_H

#include <stdatomic.h>

#include "subinterp_runtime.h"

typedef struct subi__usage {
    _Atomic uint32_t changes;  // atomic: odd while a run is in progress
    _Atomic int clock;         // atomic: of the thread that runs it
    _Atomic int64_t began;     // atomic: what that clock said
    _Atomic int64_t ended;     // atomic: nanoseconds of the runs that have ended
} subi__usage;

#endif
