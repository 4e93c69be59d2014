// SPDX-License-Identifier: MIT
//
// A Python runtime of the process, as the others see it. The main one has the main interpreter and
// those of kind own and shared; each private one has one interpreter and a copy of this code. A
// runtime's thread states and objects are touched only by its own copy of the code: the others go
// through this table.
//
// All of its functions are called by a thread that is attached to no interpreter of any runtime.
#ifndef SUBI_RUNTIME_H
#define SUBI_RUNTIME_H

#include "backend.h"
#include "output.h"
#include "run.h"

struct creation;
struct interruption;
struct settings;

typedef struct runtime {
    // In the main runtime: makes what c describes, and says in c how that went.
    void (*create)(struct creation *c);

    // In the main runtime: what the core calls to end an interpreter that lingers; see linger.h.
    bool (*end_if_possible)(subi_interp *i, void *native);

    // In a private one, once: starts it. -1: *error says why, and the runtime is of no use.
    int (*start)(native *n, subi_interp *record, const struct settings *settings, char *error,
                 size_t size);

    // In the main runtime: see spares.h.
    void (*advance)(void);

    // Of the main runtime: the file that the module is in; NULL: not known.
    const char *(*module_file)(void);

    // The rest, in the runtime that n's interpreter is in.
    int (*set_up)(native *n, struct creation *c);  // once, when it has been made; -1: it is gone
    void (*drop_mine)(native *n);                  // see subi_thread_state_drop_mine
    void (*perform)(subi_interp *i, run *r);       // r->outcome says how it went
    subi_result (*end)(native *n, int64_t deadline, char *names, size_t size, ending *how);
    bool (*end_lingering)(subi_interp *i, native *n);
    void (*end_spare)(native *n);
    void (*interrupt)(native *n, const struct interruption *what);
    size_t (*count_threads)(native *n);

    // For the caller of n's run, whose runtime this is.
    bool (*handle_signals)(native *n);
    void (*announce)(native *n, void *pool);  // a pool_object's first call has been performed
    void (*write_output)(native *n, unsigned stream, const char *utf8, Py_ssize_t size,
                         output_failure *failure);
} runtime;

// Of this copy. Exported, so that the main runtime finds the one of a copy that it has loaded.
extern SUBI_EXPORT const runtime subi_runtime;

static inline const runtime *
subi_host_runtime(void)
{
    return (const runtime *)subi_host();
}

#endif
