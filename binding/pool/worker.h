// SPDX-License-Identifier: MIT
//
// The worker of a pool: takes tasks from a channel and performs them, until that is closed.
#ifndef SUBI_WORKER_H
#define SUBI_WORKER_H

#include "state.h"

extern PyMethodDef subi_worker_functions[];

#endif
