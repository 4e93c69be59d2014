// SPDX-License-Identifier: MIT
#define Py_BUILD_CORE_MODULE
#include "thread_state.h"

#include <stdlib.h>

#if PY_VERSION_HEX >= 0x030E0000
#include "internal/pycore_tstate.h"
#endif

typedef struct kept_thread_state {
    struct kept_thread_state *next;
    subi_thread *thread;  // one reference
    PyThreadState *tstate;
} kept_thread_state;

int
subi_thread_state_keep(native *n, PyThreadState *tstate)
{
    subi_thread *self = subi_thread_self();
    kept_thread_state *k = self != NULL ? malloc(sizeof(*k)) : NULL;
    if (k == NULL) {
        return -1;
    }
    subi_thread_hold(self);
    *k = (kept_thread_state){.next = n->kept, .thread = self, .tstate = tstate};
    n->kept = k;
    return 0;
}

// ---- the bounds of a thread's stack -----------------------------------------------------------

#if PY_VERSION_HEX >= 0x030E0000

// From 3.14 on each new thread state asks for the bounds of its thread's stack when it is attached for the
// first time. On the initial thread that makes glibc parse /proc/self/maps, which takes 300 us and more.
// They are the same for all thread states of a thread, so ours get those of the one before.
static _Thread_local struct {
    uintptr_t top, soft_limit, hard_limit;
} stack;  // all 0: not known

void
subi_thread_state_note_stack(const PyThreadState *tstate)
{
    const _PyThreadStateImpl *t = (const _PyThreadStateImpl *)tstate;
    stack.top = t->c_stack_top;
    stack.soft_limit = t->c_stack_soft_limit;
    stack.hard_limit = t->c_stack_hard_limit;
}

// Not if this is another stack than the one that is known: some programs switch them.
static void
give_stack(PyThreadState *tstate)
{
    _PyThreadStateImpl *t = (_PyThreadStateImpl *)tstate;
    uintptr_t here = (uintptr_t)&t;
    if (t->c_stack_hard_limit == 0 && here > stack.hard_limit && here < stack.top) {
        t->c_stack_top = stack.top;
        t->c_stack_soft_limit = stack.soft_limit;
        t->c_stack_hard_limit = stack.hard_limit;
    }
}

#else

void
subi_thread_state_note_stack(const PyThreadState *tstate)
{
}

static void
give_stack(PyThreadState *tstate)
{
}

#endif

PyThreadState *
subi_thread_state_new(PyInterpreterState *interp)
{
    PyThreadState *tstate = PyThreadState_New(interp);
    if (tstate != NULL) {
        give_stack(tstate);
    }
    return tstate;
}

// ---- thread states that are kept --------------------------------------------------------------

// Takes *link out of the list and frees it, but not its thread state.
static void
unkeep(kept_thread_state **link)
{
    kept_thread_state *k = *link;
    *link = k->next;
    subi_thread_drop(k->thread);
    free(k);
}

// From 3.12 on, deleting a thread state that PyGILState_Ensure would find makes CPython forget the
// calling thread's in place of it.
void
subi_thread_state_free(PyThreadState *tstate)
{
    PyThreadState_Clear(tstate);
#if PY_VERSION_HEX >= 0x030C0000
    tstate->_status.bound_gilstate = 0;
#endif
    PyThreadState_Delete(tstate);
}

// Frees the thread states for which `spare` does not hold. The caller is attached to the
// interpreter; freeing runs its finalizers, so the list is made consistent first.
static void
drop_unless(native *n, bool (*spare)(const kept_thread_state *))
{
    kept_thread_state **link = &n->kept;
    while (*link != NULL) {
        if (spare(*link)) {
            link = &(*link)->next;
            continue;
        }
        PyThreadState *tstate = (*link)->tstate;
        unkeep(link);
        subi_thread_state_free(tstate);
    }
}

static bool
is_alive(const kept_thread_state *k)
{
    return subi_thread_alive(k->thread);
}

static bool
is_mine(const kept_thread_state *k)
{
    return k->thread == subi_thread_self();
}

static PyThreadState *
find_mine(native *n, bool *any_dead)
{
    PyThreadState *mine = NULL;
    for (const kept_thread_state *k = n->kept; k != NULL; k = k->next) {
        if (is_mine(k)) {
            mine = k->tstate;
        }
        else if (!is_alive(k)) {
            *any_dead = true;
        }
    }
    return mine;
}

PyThreadState *
subi_thread_state_attach(native *n)
{
    bool any_dead = false;
    PyThreadState *tstate = find_mine(n, &any_dead);
    if (tstate == NULL) {
        tstate = subi_thread_state_new(n->interp);
        if (tstate == NULL) {
            return NULL;
        }
        PyEval_RestoreThread(tstate);
        subi_thread_state_note_stack(tstate);
        if (subi_thread_state_keep(n, tstate) < 0) {
            PyThreadState_Clear(tstate);
            PyThreadState_DeleteCurrent();
            return NULL;
        }
    }
    else {
        PyEval_RestoreThread(tstate);
    }
    if (any_dead) {
        drop_unless(n, is_alive);
    }
    return tstate;
}

int
subi_thread_state_exchange(native *n)
{
    PyThreadState *old = PyThreadState_Get();
    PyThreadState *new = subi_thread_state_new(n->interp);
    if (new == NULL) {
        return -1;
    }
    for (kept_thread_state *k = n->kept; k != NULL; k = k->next) {
        if (k->tstate == old) {
            k->tstate = new;
        }
    }
    PyThreadState_Swap(new);
    PyThreadState_Clear(old);
    PyThreadState_Delete(old);
    return 0;
}

bool
subi_thread_state_is_kept(const native *n, const PyThreadState *tstate)
{
    const kept_thread_state *k = n->kept;
    while (k != NULL && k->tstate != tstate) {
        k = k->next;
    }
    return k != NULL;
}

void
subi_thread_state_detach(void)
{
    PyEval_SaveThread();
}

int
subi_thread_state_count(const native *n)
{
    int count = 0;
    for (const kept_thread_state *k = n->kept; k != NULL; k = k->next) {
        count++;
    }
    return count;
}

void
subi_thread_state_drop_others(native *n)
{
    drop_unless(n, is_mine);
}

void
subi_thread_state_forget(native *n)
{
    kept_thread_state **link = &n->kept;
    while (*link != NULL) {
        if (is_mine(*link)) {
            unkeep(link);
        }
        else {
            link = &(*link)->next;
        }
    }
}

void
subi_thread_state_drop_mine(native *n)
{
    PyThreadState *tstate = subi_thread_state_attach(n);
    subi_thread_state_forget(n);
    if (tstate != NULL) {
        PyThreadState_Clear(tstate);
        PyThreadState_DeleteCurrent();
    }
}
