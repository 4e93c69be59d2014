// SPDX-License-Identifier: MIT
//
// Remedies for faults of CPython that nothing but its internal headers gives access to.
#ifndef SUBI_REMEDIES_H
#define SUBI_REMEDIES_H

#include "state.h"

// Makes forks succeed while there are other interpreters. Once for each runtime; may be repeated.
int subi_remedies_init(void);

// Before the first interpreter is made, attached to the main one.
void subi_remedies_before_first(void);

// At the end of the process, attached to the main interpreter, when all others are closed.
void subi_remedies_at_exit(void);

// What code leaves in the current interpreter that there is no way to take back: functions given to
// os.register_at_fork, which keep their modules alive; the classes of module ast, which Python code
// then adds to; and audit hooks, which the collector does not know.
#define SUBI_FORK_MOMENTS 3  // before it, after it in the parent, and in the child
typedef struct subi_traces {
    Py_ssize_t fork_hooks[SUBI_FORK_MOMENTS];
    bool syntax_trees;
    Py_ssize_t audit_hooks;
} subi_traces;

subi_traces subi_remedies_note_traces(void);

// A dict that importing fills and nothing leads to. Borrowed; NULL: this CPython has none.
PyObject *subi_remedies_hidden_dict(void);

// Removes those that are not in `earlier`. False: there are audit hooks, which must not be removed.
bool subi_remedies_remove_traces(const subi_traces *earlier);

#endif
