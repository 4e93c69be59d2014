// SPDX-License-Identifier: MIT
//
// Extension modules that refuse to be imported in an interpreter of kind own.
#ifndef SUBI_IMPORT_ERROR_H
#define SUBI_IMPORT_ERROR_H

#include "state.h"

// From now on the ImportError of such a module names it and says what to do. Attached to the
// interpreter; raises nothing.
void subi_import_error_explain(void);

#endif
