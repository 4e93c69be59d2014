// SPDX-License-Identifier: MIT
//
// What code can leave in the current interpreter that no object shows. Only CPython's internal
// headers give access to it.
#ifndef SUBI_TRACES_H
#define SUBI_TRACES_H

#include "state.h"

#define SUBI_FORK_MOMENTS 3  // before it, after it in the parent, and in the child

typedef struct subi_traces {
    Py_ssize_t fork_hooks[SUBI_FORK_MOMENTS];  // functions given to os.register_at_fork
    bool syntax_trees;                         // whether module ast's classes are made
    Py_ssize_t audit_hooks;
    int override_frozen, override_check;  // of the import system
    uint64_t monitoring;                  // a sum over sys.monitoring's events, tools and functions
} subi_traces;

// Those of the current interpreter, in which nobody traces.
subi_traces subi_traces_note(void);

// Removes those that are not in `earlier`. False: there are some that must not be removed.
bool subi_traces_remove(const subi_traces *earlier);

// What a new interpreter would take over from the main one. No thread state is needed.
int subi_traces_inherited(void);

// A dict that importing fills and nothing leads to. Borrowed; NULL: this CPython has none.
PyObject *subi_traces_hidden_dict(void);

#endif
