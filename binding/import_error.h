// SPDX-License-Identifier: MIT
//
// Extension modules that refuse to be imported in an interpreter of kind own.
#ifndef SUBI_IMPORT_ERROR_H
#define SUBI_IMPORT_ERROR_H

#include "state.h"

// From now on the ImportError of such a module names it and says what to do. Attached to the
// interpreter; raises nothing.
void subi_import_error_explain(void);

// Whether an import has been refused in the interpreter that the module is in, since it was made or that was
// forgotten, because the extension module does not support interpreters of kind own. Whoever imported it may
// have gone on without it. By a thread that runs code there.
bool subi_import_was_refused(module_state *state);
void subi_import_refusal_forget(module_state *state);

#endif
