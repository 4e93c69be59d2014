// SPDX-License-Identifier: MIT
//
// What a run leaves of its imports when it is interrupted.
#ifndef SUBI_INTERRUPTED_IMPORTS_H
#define SUBI_INTERRUPTED_IMPORTS_H

#include <stdbool.h>

// Both: attached, the calling thread is importing nothing, no exception is set, and none will be.

// Releases the locks of importlib that the calling thread has. The exception may have been raised right after
// one was taken, before the `try` that would release it; or in a callback of importlib's that the
// collector called. When the thread is gone, whoever imports anything then waits for ever.
void subi_interrupted_imports_unlock(void);

// Whether there are modules of a package that is not there itself. They stay when the package's own import fails,
// and the next one finds them, but does not bind them in the package, which may then fail each time.
bool subi_interrupted_imports_left_parts(void);

#endif
