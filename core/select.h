// SPDX-License-Identifier: MIT
//
// One of several operations on channels: the parts of a select, for threads that block (select.c) and
// event loops that are told (notify.c). Locking all channels, a try of all cases, and the nodes in their
// wait lists.
#ifndef SUBI_SELECT_H
#define SUBI_SELECT_H

#include "channel.h"
#include "wait.h"

// What one call, or one waiter, works with, sized for `count` cases. Its owner fills in the first six.
typedef struct subi__selection {
    subi_case *cases;
    size_t count;
    bool in_front;  // whether it waits before those that wait already; for one case
    int64_t interp;
    subi__node *nodes;     // nodes[i] is for cases[i]
    subi_channel **order;  // the cases' channels without repetition, in the order of locking
    size_t *turns;         // a permutation of the cases: the order of trying them
    size_t order_count;
} subi__selection;

void subi__selection_order(subi__selection *s);  // fills in the order, once
void subi__selection_lock(subi__selection *s);
void subi__selection_unlock(subi__selection *s);

// These want all locks.

// Tries the cases in random order. As subi_select with SUBI_TRY.
subi_result subi__selection_try(subi__selection *s, size_t *chosen, subi__wakes *wakes);

// Links the nodes that are not linked: `first` at the front of its list, the others at the end.
void subi__selection_link(subi__selection *s, subi__wait *w, const subi__node *first,
                          subi__wakes *wakes);
void subi__selection_unlink(subi__selection *s);

#endif
