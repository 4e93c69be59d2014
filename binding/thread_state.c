// SPDX-License-Identifier: MIT
#include "thread_state.h"

#include <stdlib.h>

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
        tstate = PyThreadState_New(n->interp);
        if (tstate == NULL) {
            return NULL;
        }
        PyEval_RestoreThread(tstate);
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
    PyThreadState *new = PyThreadState_New(n->interp);
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
