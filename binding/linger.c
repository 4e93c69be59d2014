// SPDX-License-Identifier: MIT
#include "linger.h"

#include <stdlib.h>

#include "lifecycle.h"
#include "remedies.h"
#include "runtime.h"
#include "thread_state.h"

#define REAPER_STOP 1.0  // seconds for a release that is in progress

// ---- closing ----------------------------------------------------------------------------------

// What finalization would begin with. Modules of the standard library are needed until then, and
// hardly keep a buffer.
static const char emptying[] =
    "import gc, sys\n"
    "main = vars(sys.modules['__main__'])\n"
    "for name in [name for name in main if not name.startswith('__')]:\n"
    "    main.pop(name, None)\n"
    "kept = {'__main__', 'subinterpreters', '_xxsubinterpreters', *sys.stdlib_module_names}\n"
    "for name in [name for name in sys.modules if name.partition('.')[0] not in kept]:\n"
    "    sys.modules.pop(name, None)\n"
    "gc.collect()\n";

static void
empty(void)
{
    PyObject *names = PyDict_New();
    PyObject *result =
        names != NULL ? PyRun_StringFlags(emptying, Py_file_input, names, names, NULL) : NULL;
    Py_XDECREF(result);
    Py_XDECREF(names);
    PyErr_Clear();
}

bool
subi_linger_needed(native *n, bool last)
{
    subi_interp *i = subi_interp_find(n->interp);
    if (i == NULL) {
        return false;
    }
    subi_exports_drain(i);
    if (subi_exports_count(i) > 0) {
        empty();
        subi_exports_drain(i);
    }
    bool needed = subi_exports_count(i) > 0;
    if (last && !needed) {
        subi_exports_end(i);
    }
    subi_interp_drop(i);
    return needed;
}

// ---- afterwards -------------------------------------------------------------------------------

static bool
has_other_threads(const native *n)
{
    PyThreadState *t = PyInterpreterState_ThreadHead(n->interp);
    while (t != NULL && subi_thread_state_is_kept(n, t)) {
        t = PyThreadState_Next(t);
    }
    return t != NULL;
}

bool
subi_linger_end_here(subi_interp *i, native *n)
{
    if (subi_thread_state_attach(n) == NULL) {
        return false;
    }
    subi_exports_drain(i);
    // a release may have run code that exported something, or started a thread
    if (subi_exports_count(i) > 0 || has_other_threads(n)) {
        subi_thread_state_detach();
        return false;
    }
    subi_exports_end(i);
    subi_lifecycle_end(n);
    return true;
}

bool
subi_linger_end_if_possible(subi_interp *i, void *data)
{
    native *n = data;
    bool ended = n->runtime->end_lingering(i, n);
    if (ended) {
        subi_lifecycle_discard(n);
    }
    return ended;
}

void
subi_linger(subi_interp *i, native *n)
{
    subi_interp_set_native(i, NULL, NULL);
    // the main runtime's, since this one may end before
    subi_interp_linger(i, subi_host_runtime()->end_if_possible, n);
}

// ---- the end of the process -------------------------------------------------------------------

static void
leave_alone(subi_interp *i, void *data)
{
    native *n = data;
    if (n->runtime == &subi_runtime) {  // the end of a private one is not that of the process
        subi_remedies_leave(n->interp);
    }
}

bool
subi_linger_at_exit(subi_interp *main)
{
    bool stopped;
    Py_BEGIN_ALLOW_THREADS
    stopped = subi_reaper_stop(subi_deadline(REAPER_STOP)) == SUBI_OK;
    if (stopped) {
        subi_lingering_end(leave_alone);
    }
    Py_END_ALLOW_THREADS
    subi_exports_drain(main);
    subi_exports_end(main);
    return stopped;
}
