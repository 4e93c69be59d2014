// SPDX-License-Identifier: MIT
#include "creation.h"

#include <stdlib.h>

#include "errors.h"
#include "exit.h"
#include "import_error.h"
#include "inheritance.h"
#include "lifecycle.h"
#include "renewal/birth.h"
#include "runtime.h"
#include "site.h"
#include "spares.h"
#include "thread_state.h"
#include "tracing.h"

// Python 3.11 and 3.12 have a module of that name, which the import system would find before ours.
static int
install_legacy_module(void)
{
#if PY_VERSION_HEX < 0x030D0000
    PyObject *package = PyImport_ImportModule("subinterpreters");
    PyObject *done = NULL;
    if (package != NULL) {
        done = PyObject_CallMethod(package, "_install_xxsubinterpreters", NULL);
    }
    Py_XDECREF(package);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
#else
    return 0;
#endif
}

// Attached to the new interpreter, which may have got the same in advance.
static int
inherit(native *n, const creation *c)
{
    bool has_it = n->prepared && subi_inheritance_equal(&n->inheritance, &c->inheritance);
    n->prepared = false;
    if (!has_it && (subi_inheritance_apply(&c->inheritance) < 0 || install_legacy_module() < 0)) {
        PyErr_Clear();
        return -1;
    }
    if (!has_it && n->birth != NULL) {
        subi_message_fini(&n->inheritance);
        n->inheritance =
            c->is_whole ? subi_inheritance_share(&c->inheritance) : subi_message_none();
    }
    return 0;
}

// Code that runs in it from now on may import us.
int
subi_set_up_here(native *n, creation *c)
{
    if (subi_thread_state_attach(n) == NULL) {
        strcpy(c->error, "out of memory");
        return -1;
    }
    subi_interp_set_native(c->record, n->interp, n);
    bool stands_in = n->make == SUBI_MAKE_PLAIN && n->backend->kind == SUBI_KIND_PRIVATE;
    if ((!stands_in || subi_site_stand_in() == 0) && inherit(n, c) == 0) {
        subi_thread_state_detach();
        return 0;
    }
    PyErr_Clear();
    strcpy(c->error,
           "its sys.path, sys.argv, filters of warnings or _xxsubinterpreters could not be set");
    subi_lifecycle_end(n);
    subi_interp_set_native(c->record, NULL, NULL);
    return -1;
}

// One from the reserve, or NULL. No thread state, no GIL; so are those that follow.
static native *
take_spare(const creation *c)
{
    native *n;
    while (c->backend->renewable && (n = subi_reserve_take(c->make)) != NULL) {
        bool inherits =
            n->inheritance.tag != SUBI_TAG_NONE;  // already, what there may be none of now
        bool fits = subi_birth_fits_process(n->birth) && (c->is_whole || !inherits);
        bool attached = fits && subi_thread_state_attach(n) != NULL;
        bool ready = attached && subi_birth_install_main(n->birth) == 0;
        if (attached) {
            subi_thread_state_detach();
        }
        if (!ready) {
            subi_lifecycle_end_spare_here(n);
        }
        subi_reserve_done();
        if (ready) {
            atomic_store(&n->runs, 0);
            atomic_store(&n->import_refused, false);
            return n;
        }
    }
    return NULL;
}

// What is the same for all that will be made of it. n's thread state is there: attaching cannot fail. False: it is
// gone.
static bool
make_ready(native *n, creation *c)
{
    if (n->backend->kind != SUBI_KIND_OWN) {
        return true;
    }
    subi_thread_state_attach(n);
    if (n->make == SUBI_MAKE_PLAIN) {
        subi_site_set(n->interp, true);
        if (subi_site_stand_in() < 0) {
            PyErr_Clear();
            strcpy(c->error, "it could not be made without site");
            subi_lifecycle_end(n);
            return false;
        }
    }
    subi_import_error_explain();
    if (n->make == SUBI_MAKE_TEMPLATE) {
        subi_site_set(n->interp, false);
    }
    else if (n->backend->renewable && subi_reserve_limit() > 0) {
        n->birth = subi_birth_new();
    }
    subi_thread_state_detach();
    return true;
}

// On failure c->error is set.
static native *
make_new(creation *c)
{
    native *n = calloc(1, sizeof(*n));
    if (n == NULL) {
        strcpy(c->error, "out of memory");
        return NULL;
    }
    n->backend = c->backend;
    n->make = c->make;
    if (n->backend->create(n, c) < 0 || !make_ready(n, c)) {
        free(n);
        return NULL;
    }
    return n;
}

static void
set_up(creation *c)
{
    c->result = c->n->runtime->set_up(c->n, c);
    if (c->result < 0) {
        subi_lifecycle_discard(c->n);
        c->n = NULL;
    }
}

native *
subi_creation_make(creation *c)
{
    if (c->backend->alone) {
        subi_workshop_enter(true);
    }
    native *n = make_new(c);
    if (c->backend->alone) {
        subi_workshop_leave(true);
    }
    return n;
}

static void
make_and_set_up(creation *c)
{
    c->n = subi_creation_make(c);
    if (c->n != NULL) {
        set_up(c);
    }
}

static void
make_on_this_thread_and_leave(void *arg)
{
    creation *c = arg;
    make_and_set_up(c);
    if (c->result == 0) {
        c->n->runtime->drop_mine(c->n);
    }
    PyThread_release_lock(c->done);  // c may be gone now
}

// From 3.14 on a new thread state asks for the bounds of the thread's stack, which on the initial
// thread takes glibc 200 us and more, and CPython makes a dozen of them while it makes an
// interpreter. A thread of its own costs less than one of them.
static bool
make_on_another_thread(creation *c)
{
    if (PY_VERSION_HEX < 0x030E0000 || !subi_thread_is_initial()) {
        return false;
    }
    c->done = PyThread_allocate_lock();
    if (c->done == NULL) {
        return false;
    }
    PyThread_acquire_lock(c->done, WAIT_LOCK);
    bool started =
        PyThread_start_new_thread(make_on_this_thread_and_leave, c) != PYTHREAD_INVALID_THREAD_ID;
    if (started) {
        PyThread_acquire_lock(c->done, WAIT_LOCK);
    }
    PyThread_release_lock(c->done);
    PyThread_free_lock(c->done);
    return started;
}

// Whoever waits for a place may find that another interpreter has been closed meanwhile.
void
subi_create_here(creation *c)
{
    c->backend = subi_backend_of(c->backend->kind);  // the caller's runtime may be another one
    if (subi_tracing_forbids(c->backend->kind)) {
        PyOS_snprintf(
            c->error, sizeof(c->error),
            "tracemalloc traces memory, and before CPython 3.15 that crashes interpreters of "
            "isolation='%s': stop it, or use isolation='private'",
            c->backend->name);
        return;
    }
    subi_workshop_enter(false);
    c->n = take_spare(c);
    if (c->n != NULL) {
        set_up(c);
    }
    else if (!make_on_another_thread(c)) {
        make_and_set_up(c);
    }
    if (c->result == 0) {
        subi_interp_stay(c->record);
    }
    subi_workshop_leave(false);
    subi_advance();
}

// What the new one gets of the caller's. -1 with an exception set.
static int
pack(module_state *state, creation *c)
{
    if (c->make == SUBI_MAKE_PLAIN &&
        (c->backend->kind == SUBI_KIND_SHARED || !subi_site_is_plain())) {
        c->make = SUBI_MAKE_FULL;
    }
    if (c->backend->prepare != NULL &&
        (c->backend->prepare(state) < 0 || subi_settings_init(&c->settings) < 0)) {
        return -1;
    }
    if (c->make == SUBI_MAKE_PLAIN) {
        c->settings.flags[FLAG_NO_SITE] = 1;
    }
    return subi_inheritance_pack(state, &c->inheritance, &c->is_whole);
}

// -1 with an exception set.
static int
make_native(module_state *state, const backend *b, subi_make make, subi_interp *record)
{
    creation *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    c->record = record;
    c->backend = b;
    c->make = make;
    subi_thread_state_note_stack(PyThreadState_Get());
    int result = pack(state, c);
    if (result == 0) {
        c->result = -1;
        Py_BEGIN_ALLOW_THREADS
        subi_host_runtime()->create(c);
        Py_END_ALLOW_THREADS
        result = c->result;
        if (result < 0) {
            PyErr_Format(subi_error(state, InterpreterError),
                         "the interpreter could not be made: %s", c->error);
        }
    }
    subi_message_fini(&c->inheritance);
    subi_settings_fini(&c->settings);
    free(c);
    return result;
}

static void
raise_not_made(module_state *state, subi_result r)
{
    if (r == SUBI_NOMEM) {
        PyErr_NoMemory();
    }
    else {
        PyErr_SetString(subi_error(state, InterpreterError),
                        "the interpreter could not be made: the process is ending");
    }
}

subi_interp *
subi_lifecycle_create(module_state *state, const char *isolation, const char *name,
                      bool inherits_site)
{
    subi_interp *i;
    const backend *b = subi_backend_find(state, isolation);
    if (b == NULL || subi_exit_arm(state) < 0) {
        return NULL;
    }
    subi_result r = subi_interp_new(b->kind, name, state->self_id, &i);
    if (r != SUBI_OK) {
        raise_not_made(state, r);
        return NULL;
    }
    subi_interp_hold_user(
        i);  // the caller's: others may list the interpreter as soon as it is idle
    if (make_native(state, b, inherits_site ? SUBI_MAKE_PLAIN : SUBI_MAKE_FULL, i) < 0) {
        subi_interp_discard(i);
        subi_interp_drop(i);
        return NULL;
    }
    subi_interp_hold(i);  // the interpreter's own, until it is closed
    subi_interp_leave(i);
    return i;
}
