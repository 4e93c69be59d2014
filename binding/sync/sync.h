// SPDX-License-Identifier: MIT
//
// The types Lock, RLock, Semaphore, BoundedSemaphore, Event, Condition and _Barrier. Each object is one
// reference to the core's; equal are those of one and the same.
#ifndef SUBI_SYNC_SYNC_H
#define SUBI_SYNC_SYNC_H

#include "blocking.h"
#include "state.h"

#include <structmember.h>  // PyMemberDef, before 3.12

// The type of all their handles in a message; which one it is the core knows.
#define SUBI_HANDLE_SYNC 'y'

int subi_sync_types_init(module_state *state);

// If obj is one of them: true, and a segment with a reference to it.
bool subi_sync_pack(PyObject *obj, char *type, subi_segment *segment);
PyObject *subi_sync_unpack(module_state *state, const subi_segment *segment);

// ---- for the types ----------------------------------------------------------------------------

// What an object has. For the types' specs and for subi_sync_of.
typedef struct sync_object {
    PyObject_HEAD
    subi_sync *sync;  // one reference
    PyObject *weakrefs;
} sync_object;

static inline subi_sync *
subi_sync_of(PyObject *self)
{
    return ((sync_object *)self)->sync;
}

// A new object from what a function of the core has just made, or why it has not.
PyObject *subi_sync_wrap(PyTypeObject *type, subi_result made, subi_sync *s);

void subi_sync_dealloc(PyObject *self);
PyObject *subi_sync_richcompare(PyObject *self, PyObject *other, int op);
Py_hash_t subi_sync_hash(PyObject *self);
extern PyGetSetDef subi_sync_getset[];
extern PyMemberDef subi_sync_members[];

#define SUBI_SYNC_SLOTS                                                                            \
    {Py_tp_dealloc, subi_sync_dealloc}, {Py_tp_richcompare, subi_sync_richcompare},                \
        {Py_tp_hash, subi_sync_hash}, {Py_tp_getset, subi_sync_getset},                            \
    {                                                                                              \
        Py_tp_members, subi_sync_members                                                           \
    }

#define SUBI_SYNC_FLAGS (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE)

extern PyType_Spec subi_lock_spec, subi_rlock_spec, subi_semaphore_spec,
    subi_bounded_semaphore_spec, subi_event_spec, subi_condition_spec, subi_barrier_spec;

// Parses no arguments: -1 with TypeError if there are some.
int subi_sync_parse_nothing(PyObject *args, PyObject *kwds, const char *format);

// Parses blocking=True, timeout=...; a non-blocking call must have no time-out.
int subi_sync_parse_blocking(PyObject *args, PyObject *kwds, const char *format, bool minus_one,
                             int64_t *deadline);

// Waits, with the GIL released, where `call` is a call of the core's with d.patience.
#define SUBI_SYNC_WAIT(state, until, call)                                                         \
    (subi_detach(&d, (state), (until)), subi_attach(&d, (call)))

const char *subi_sync_name(const subi_sync *s);  // "Lock"

// The exception for a result; what the caller knows better, such as SUBI_NOT_OWNER, it raises itself.
// Always NULL.
PyObject *subi_sync_raise(module_state *state, subi_result r, subi_sync *s);

// True for SUBI_OK, False when it would have taken too long, else the exception.
PyObject *subi_sync_bool(module_state *state, subi_result r, subi_sync *s);

// ---- methods of locks, and of conditions for theirs --------------------------------------------

PyObject *subi_lock_acquire(PyObject *self, PyObject *args, PyObject *kwds);
PyObject *subi_lock_release(PyObject *self, PyObject *unused);
PyObject *subi_lock_locked(PyObject *self, PyObject *unused);
PyObject *subi_lock_enter(PyObject *self, PyObject *unused);
PyObject *subi_lock_exit(PyObject *self, PyObject *const *args, Py_ssize_t n);
PyObject *subi_lock_text(subi_sync *mutex);  // "Lock 3 unlocked"

#define SUBI_LOCK_METHODS                                                                          \
    {"acquire", (PyCFunction)(void (*)(void))subi_lock_acquire, METH_VARARGS | METH_KEYWORDS,      \
     subi_lock_acquire_doc},                                                                       \
        {"release", subi_lock_release, METH_NOARGS, subi_lock_release_doc},                        \
        {"locked", subi_lock_locked, METH_NOARGS, subi_lock_locked_doc},                           \
        {"__enter__", subi_lock_enter, METH_NOARGS, NULL},                                         \
    {                                                                                              \
        "__exit__", (PyCFunction)(void (*)(void))subi_lock_exit, METH_FASTCALL, NULL               \
    }

extern const char subi_lock_acquire_doc[], subi_lock_release_doc[], subi_lock_locked_doc[];

#endif
