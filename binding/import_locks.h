// SPDX-License-Identifier: MIT
//
// The locks of importlib after a run that was interrupted. The exception may have been raised right after
// one was taken, before the `try` that would release it; or in a callback of importlib's that the
// collector called. When the thread is gone, whoever imports anything then waits for ever.
#ifndef SUBI_IMPORT_LOCKS_H
#define SUBI_IMPORT_LOCKS_H

// Releases those that the calling thread has. It is attached, no import of its is in progress, and no
// exception is set.
void subi_import_locks_release(void);

#endif
