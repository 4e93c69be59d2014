// SPDX-License-Identifier: MIT
//
// The extension module subinterpreters._subinterpreters.
#include "legacy/module.h"
#include "async.h"
#include "blocking.h"
#include "buffer_type.h"
#include "channel_type.h"
#include "descriptor_type.h"
#include "errors.h"
#include "exit.h"
#include "interp_type.h"
#include "legacy/ids.h"
#include "lifecycle.h"
#include "pending_signals.h"
#include "pool/pool_type.h"
#include "private/private.h"
#include "private/start.h"
#include "queue_type.h"
#include "remedies.h"
#include "runtime.h"
#include "select.h"
#include "spares.h"
#include "state.h"
#include "state_making.h"
#include "sync/sync.h"
#include "tracing.h"

// ---- the interpreter that the module is in ----------------------------------------------------

// One of ours has its record already; the main one and those that others made get it now.
static subi_interp *
record_of_this_interpreter(void)
{
    PyInterpreterState *here = PyInterpreterState_Get();
    subi_interp *i = subi_interp_find(here);
    if (i != NULL) {
        return i;
    }
    if (here == PyInterpreterState_Main()) {
        i = subi_interp_main();
    }
    else if (subi_interp_new(SUBI_KIND_FOREIGN, NULL, SUBI_NOBODY, &i) != SUBI_OK) {
        i = NULL;
    }
    if (i != NULL) {
        subi_interp_set_native(i, here, NULL);
    }
    else {
        PyErr_NoMemory();
    }
    return i;
}

subi_interp *
subi_state_self(module_state *state)
{
    if (subi_interp_stale(state->self)) {
        subi_interp *i = record_of_this_interpreter();
        if (i != NULL) {
            subi_interp_drop(state->self);
            state->self = i;
        }
        PyErr_Clear();  // out of memory: the old one, which answers that it is stale
    }
    return state->self;
}

// ---- the module -------------------------------------------------------------------------------

int
subi_state_settle(module_state *state)
{
    state->self = record_of_this_interpreter();
    if (state->self == NULL) {
        return -1;
    }
    state->self_id = subi_interp_id(state->self);
    if (subi_tracing_guard(state) < 0) {
        return -1;
    }
    state->ready = true;
    return 0;
}

static int
module_exec(PyObject *module)
{
    module_state *state = get_state(module);
    state_making how = subi_state_making();
    state->module = module;
    if (!subi_private_is_here()) {
        subi_host_set(&subi_runtime);
        subi_signals_init();
        subi_state_note_file(module);
    }
    if (subi_remedies_init() < 0 || (how != STATE_AHEAD && subi_state_settle(state) < 0)) {
        return -1;
    }
    return how == STATE_WHOLE ? subi_state_complete(state) : 0;
}

int
subi_type_make(module_state *state, PyTypeObject **type, PyType_Spec *spec)
{
    PyObject *made = *type == NULL ? PyType_FromModuleAndSpec(state->module, spec, NULL) : NULL;
    if (*type == NULL) {
        *type = (PyTypeObject *)made;
        return made != NULL ? 0 : -1;
    }
    Py_XDECREF(made);  // another thread was faster
    return 0;
}

int
subi_type_add(module_state *state, PyTypeObject **type, PyType_Spec *spec)
{
    bool is_new = *type == NULL;
    if (subi_type_make(state, type, spec) < 0) {
        return -1;
    }
    if (is_new && PyModule_AddType(state->module, *type) < 0) {
        Py_CLEAR(*type);  // it can be tried again
        return -1;
    }
    return 0;
}

int
subi_state_complete(module_state *state)
{
    PyObject *module = state->module;
    if (state->complete) {
        return 0;
    }
    if (subi_errors_init(module, state) < 0 || subi_interp_type_init(state) < 0 ||
        subi_channel_types_make(state) < 0 || subi_buffer_type_make(state) < 0 ||
        subi_descriptor_type_init(state) < 0 || subi_queue_type_init(state) < 0 ||
        subi_sync_types_init(state) < 0 || subi_async_init(state) < 0 ||
        subi_pool_type_init(state) < 0 || subi_legacy_ids_init(state) < 0 ||
        PyModule_AddFunctions(module, subi_interp_functions) < 0 ||
        PyModule_AddFunctions(module, subi_spares_functions) < 0 ||
        PyModule_AddFunctions(module, subi_channel_functions) < 0 ||
        PyModule_AddFunctions(module, subi_queue_functions) < 0 ||
        PyModule_AddFunctions(module, subi_select_functions) < 0 ||
        PyModule_AddFunctions(module, subi_async_functions) < 0 ||
        PyModule_AddFunctions(module, subi_private_functions) < 0 ||
        PyModule_AddFunctions(module, subi_exit_functions) < 0) {
        return -1;
    }
    state->complete = true;
    return 0;
}

// The members of the state that are references to Python objects.
#define FOR_EACH_OBJECT(state, DO)                                                                 \
    DO((state)->getsignal);                                                                        \
    DO((state)->default_int_handler);                                                              \
    DO((state)->interpreters);                                                                     \
    DO((state)->queues);                                                                           \
    DO((state)->queue_type);                                                                       \
    DO((state)->interpreter_type);                                                                 \
    DO((state)->recv_channel_type);                                                                \
    DO((state)->send_channel_type);                                                                \
    DO((state)->shared_buffer_type);                                                               \
    DO((state)->descriptor_type);                                                                  \
    DO((state)->sync_types[SUBI_LOCK]);                                                            \
    DO((state)->sync_types[SUBI_RLOCK]);                                                           \
    DO((state)->sync_types[SUBI_SEMAPHORE]);                                                       \
    DO((state)->sync_types[SUBI_BOUNDED_SEMAPHORE]);                                               \
    DO((state)->sync_types[SUBI_EVENT]);                                                           \
    DO((state)->sync_types[SUBI_CONDITION]);                                                       \
    DO((state)->sync_types[SUBI_BARRIER]);                                                         \
    DO((state)->notifier_type);                                                                    \
    DO((state)->operation_type);                                                                   \
    DO((state)->pool_type);                                                                        \
    DO((state)->task_type);                                                                        \
    DO((state)->map_type);                                                                         \
    DO((state)->interpreter_id_type);                                                              \
    DO((state)->channel_id_type);                                                                  \
    DO((state)->InterpreterError);                                                                 \
    DO((state)->InterpreterNotFoundError);                                                         \
    DO((state)->InterpreterClosedError);                                                           \
    DO((state)->ExecutionFailed);                                                                  \
    DO((state)->NotShareableError);                                                                \
    DO((state)->ChannelError);                                                                     \
    DO((state)->ChannelNotFoundError);                                                             \
    DO((state)->ChannelClosedError);                                                               \
    DO((state)->ChannelEmptyError);                                                                \
    DO((state)->ChannelFullError);                                                                 \
    DO((state)->LockOwnerDiedError);                                                               \
    DO((state)->LegacyRunFailedError);                                                             \
    DO((state)->LegacyChannelError);                                                               \
    DO((state)->LegacyChannelNotFoundError);                                                       \
    DO((state)->LegacyChannelClosedError);                                                         \
    DO((state)->LegacyChannelEmptyError);                                                          \
    DO((state)->LegacyChannelNotEmptyError)

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    module_state *state = get_state(module);
    FOR_EACH_OBJECT(state, Py_VISIT);
    return 0;
}

static int
module_clear(PyObject *module)
{
    module_state *state = get_state(module);
    FOR_EACH_OBJECT(state, Py_CLEAR);
    return 0;
}

static void
module_free(void *module)
{
    module_state *state = get_state(module);
    module_clear(module);
    if (state->self != NULL) {
        if (subi_interp_kind(state->self) == SUBI_KIND_FOREIGN &&
            subi_interp_state(state->self) == SUBI_STATE_RUNNING) {
            subi_notifiers_close(state->self_id);
            // it is ending; nobody else holds its state, so these cannot fail
            subi_interp_leave(state->self);
            if (subi_interp_begin_close(state->self, SUBI_TRY) == SUBI_OK) {
                subi_interp_end_close(state->self, true);
            }
        }
        subi_interp_drop(state->self);
        state->self = NULL;
    }
}

static PyObject *
legacy_module(PyObject *module, PyObject *spec)
{
    return subi_legacy_module(module, spec);
}

// For calls that are made in Python.
static PyObject *
seconds(PyObject *module, PyObject *timeout)
{
    int64_t unused;
    return subi_parse_timeout(timeout, &unused) < 0 ? NULL : PyNumber_Float(timeout);
}

// For what has been left out.
static PyObject *
module_getattr(PyObject *module, PyObject *name)
{
    module_state *state = get_state(module);
    bool in_the_making = state == NULL || !state->ready;
    if (!in_the_making && subi_state_complete(state) < 0) {
        return NULL;
    }
    PyObject *value = PyDict_GetItemWithError(PyModule_GetDict(module), name);  // borrowed
    if (value == NULL && !PyErr_Occurred()) {
        PyErr_Format(PyExc_AttributeError, "module '" SUBI_MODULE_NAME "' has no attribute '%U'",
                     name);
    }
    return Py_XNewRef(value);
}

static PyMethodDef module_functions[] = {
    {"__getattr__", module_getattr, METH_O, NULL},
    {"_seconds", seconds, METH_O,
     "_seconds(timeout, /)\n--\n\nA time-out that is not None as a float.\n\n"
     "Raises:\n    TypeError, ValueError, OverflowError: it is none."},
    {"legacy_module", legacy_module, METH_O,
     "legacy_module(spec, /)\n--\n\nA new module with the API of CPython's _xxsubinterpreters."},
    {NULL},
};

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    SUBI_OWN_GIL_SLOT,
    {0, NULL},
};

PyModuleDef subi_module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_subinterpreters",
    .m_doc = "Interpreters and channels between them; see the package subinterpreters.",
    .m_size = sizeof(module_state),
    .m_methods = module_functions,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__subinterpreters(void);

PyMODINIT_FUNC
PyInit__subinterpreters(void)
{
    return PyModuleDef_Init(&subi_module_def);
}
