// SPDX-License-Identifier: MIT
//
// Sleeps that signals end; the rest of it is in subinterp_runtime.h.
#ifndef SUBI_SIGNALS_H
#define SUBI_SIGNALS_H

#include <stdatomic.h>
#include <stdint.h>

#include "subinterp.h"

// As subi__futex_wait. For a thread that heeds signals also SUBI_INTERRUPTED for one that came before it slept and
// has not been handled: at once, or, when it comes in the very moment of falling asleep, after as long again as the
// thread has slept by then, and a millisecond.
subi_result subi__signals_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline);

#endif
