// SPDX-License-Identifier: MIT
//
// Waits of event loops; see subinterp.h. This is for wait.c, which tells them, and process.c.
#ifndef SUBI_NOTIFY_H
#define SUBI_NOTIFY_H

#include "wait.h"

// Hands the waiter, whose wait has been claimed, to its notifier. Wants the lock of the winner's channel.
void subi__waiter_tell(subi_waiter *w, subi__wakes *wakes);

// Makes the event loop look. Drops a reference to the notifier.
void subi__notifier_signal(subi_notifier *n);

void subi__notifiers_forget(void);  // in the child of a fork

#endif
