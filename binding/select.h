// SPDX-License-Identifier: MIT
//
// The function select.
#ifndef SUBI_SELECT_H
#define SUBI_SELECT_H

#include "state.h"

extern PyMethodDef subi_select_functions[];

#endif
