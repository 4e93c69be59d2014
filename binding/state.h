// SPDX-License-Identifier: MIT
//
// What one instance of the module, that is one interpreter, keeps. There is no other state: what
// belongs to the process lives in the core.
#ifndef SUBI_STATE_H
#define SUBI_STATE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "compat.h"
#include "subinterp_runtime.h"

typedef struct module_state {
    PyObject *module;  // borrowed: the module that has this state
    bool ready;        // set when what is needed to run code is there
    bool complete;     // set when all of it is there: see subi_state_complete
    bool exit_armed;   // these three belong to exit.c
    bool ending;
    struct watch *watch;
    subi_interp *self;  // the record of the interpreter that the module is in; one reference; in
                        // the child of a fork it is the parent's: see subi_state_self
    int64_t self_id;    // its id

    PyObject *getsignal, *default_int_handler;  // of _signal; NULL: not looked up yet
    PyObject *interpreters;                     // see interp_type.c
    PyObject *queues;                           // see queue_type.c
    PyTypeObject *interpreter_type;
    PyTypeObject *queue_type;
    PyTypeObject *recv_channel_type;
    PyTypeObject *send_channel_type;
    PyTypeObject *shared_buffer_type;
    PyTypeObject *descriptor_type;
    PyTypeObject *sync_types[SUBI_BARRIER + 1];  // by subi_sync_kind
    PyTypeObject *notifier_type;
    PyTypeObject *operation_type;
    PyTypeObject *pool_type;
    PyTypeObject *task_type;
    PyTypeObject *map_type;
    PyTypeObject *interpreter_id_type;
    PyTypeObject *channel_id_type;

    // exceptions of `subinterpreters`
    PyObject *InterpreterError;
    PyObject *InterpreterNotFoundError;
    PyObject *InterpreterClosedError;
    PyObject *ExecutionFailed;
    PyObject *NotShareableError;
    PyObject *ChannelError;
    PyObject *ChannelNotFoundError;
    PyObject *ChannelClosedError;
    PyObject *ChannelEmptyError;
    PyObject *ChannelFullError;
    PyObject *LockOwnerDiedError;

    // exceptions of `_xxsubinterpreters`, which only share their names
    PyObject *LegacyRunFailedError;
    PyObject *LegacyChannelError;
    PyObject *LegacyChannelNotFoundError;
    PyObject *LegacyChannelClosedError;
    PyObject *LegacyChannelEmptyError;
    PyObject *LegacyChannelNotEmptyError;
} module_state;

extern struct PyModuleDef subi_module_def;

// The record of the interpreter that the module is in, in this process. Borrowed.
subi_interp *subi_state_self(module_state *state);

// The state of the module in the interpreter that the caller is attached to, which imports it if need
// be. Borrowed. NULL with an exception.
module_state *subi_state_here(void);

// What only needs to be there where the package has been imported, or what another interpreter that has has sent:
// queues, locks and so on. What can come alone, exceptions, channels and buffers, is made when it does. -1 with an
// exception.
int subi_state_complete(module_state *state);

// Makes a type of the module, unless it is there: *type, which is a member of the state, is set then. -1 with an
// exception.
int subi_type_make(module_state *state, PyTypeObject **type, PyType_Spec *spec);

// The same for one that is an attribute of the module.
int subi_type_add(module_state *state, PyTypeObject **type, PyType_Spec *spec);

#define SUBI_PACKAGE_NAME "subinterpreters"
#define SUBI_MODULE_NAME  SUBI_PACKAGE_NAME "._subinterpreters"

// The file that the module was imported from, as text of the file system's; NULL: not known.
const char *subi_module_file(void);

static inline module_state *
get_state(PyObject *module)
{
    return (module_state *)PyModule_GetState(module);
}

// The state for an object of one of the module's types.
static inline module_state *
get_state_of(PyObject *self)
{
    PyObject *module = PyType_GetModuleByDef(Py_TYPE(self), &subi_module_def);
    return module != NULL ? get_state(module) : NULL;
}

#endif
