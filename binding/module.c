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

// ---- importing it -----------------------------------------------------------------------------

#define PACKAGE "subinterpreters"
#define NAME    PACKAGE "._subinterpreters"

// malloc'd; set once, by the main interpreter's thread, before there are others
static char *module_file;

// Whether this thread makes the module without what can wait.
static _Thread_local bool in_part;

const char *
subi_module_file(void)
{
    return module_file;
}

static void
note_module_file(PyObject *module)
{
    PyObject *file = PyObject_GetAttrString(module, "__file__");
    PyObject *bytes = file != NULL ? PyUnicode_EncodeFSDefault(file) : NULL;
    if (bytes != NULL && module_file == NULL) {
        module_file = strdup(PyBytes_AS_STRING(bytes));
    }
    Py_XDECREF(bytes);
    Py_XDECREF(file);
    PyErr_Clear();
}

// importlib's object for it, as its function spec_from_file_location would make it after a search of suffixes.
static PyObject *
make_spec(PyObject *importlib, PyObject *external, PyObject *path)
{
    PyObject *loader = PyObject_CallMethod(external, "ExtensionFileLoader", "sO", NAME, path);
    PyObject *spec =
        loader != NULL ? PyObject_CallMethod(importlib, "ModuleSpec", "sO", NAME, loader) : NULL;
    if (spec != NULL && (PyObject_SetAttrString(spec, "origin", path) < 0 ||
                         PyObject_SetAttrString(spec, "has_location", Py_True) < 0)) {
        Py_CLEAR(spec);
    }
    Py_XDECREF(loader);
    return spec;
}

// What an import says of a module, but for what creating it has.
static int
set_attributes(PyObject *module, PyObject *spec, PyObject *path)
{
    PyObject *loader = PyObject_GetAttrString(spec, "loader");
    int result = loader != NULL && PyModule_AddObjectRef(module, "__loader__", loader) == 0 &&
                         PyModule_AddStringConstant(module, "__package__", PACKAGE) == 0 &&
                         PyModule_AddObjectRef(module, "__spec__", spec) == 0 &&
                         PyModule_AddObjectRef(module, "__file__", path) == 0
                     ? 0
                     : -1;
    Py_XDECREF(loader);
    return result;
}

// A new reference. The import lock of the module is held. NULL with an exception.
static PyObject *
make_module(PyObject *importlib, PyObject *external, const char *file)
{
    PyObject *path = PyUnicode_DecodeFSDefault(file);
    PyObject *spec = path != NULL ? make_spec(importlib, external, path) : NULL;
    PyObject *module = spec != NULL ? PyModule_FromDefAndSpec(&subi_module_def, spec) : NULL;
    int executed = -1;
    if (module != NULL && set_attributes(module, spec, path) == 0) {
        in_part = true;
        executed = PyModule_ExecDef(module, &subi_module_def);
        in_part = false;
    }
    if (executed < 0 || PyDict_SetItemString(PyImport_GetModuleDict(), NAME, module) < 0) {
        Py_CLEAR(module);
    }
    Py_XDECREF(spec);
    Py_XDECREF(path);
    return module;
}

static bool
is_one_of_ours(void)
{
    subi_interp *here = subi_interp_find(PyInterpreterState_Get());
    bool ours = here != NULL && subi_lifecycle_is_ours(here);
    if (here != NULL) {
        subi_interp_drop(here);
    }
    return ours;
}

// In an interpreter of ours, as an import would, but for the package: its library is loaded already, so there
// is no need to search for it and to visit the main interpreter, which takes longer than the rest. A new reference.
// NULL without an exception: it has to be imported; with one: an interruption.
static PyObject *
import_quickly(void)
{
    PyObject *modules = PyImport_GetModuleDict();  // borrowed, as these are
    PyObject *importlib = PyDict_GetItemString(modules, "_frozen_importlib");
    PyObject *external = PyDict_GetItemString(modules, "_frozen_importlib_external");
    const char *file = subi_host_runtime()->module_file();
    PyObject *module = NULL;
    if (importlib == NULL || external == NULL || file == NULL || !is_one_of_ours()) {
        return NULL;
    }
    PyObject *lock = PyObject_CallMethod(importlib, "_ModuleLockManager", "s", NAME);
    PyObject *locked = lock != NULL ? PyObject_CallMethod(lock, "__enter__", NULL) : NULL;
    PyObject *exc = NULL;
    if (locked != NULL) {
        module = Py_XNewRef(PyDict_GetItemString(modules, NAME));
        if (module == NULL) {
            module = make_module(importlib, external, file);
        }
        exc = PyErr_GetRaisedException();
        PyObject *released =
            PyObject_CallMethod(lock, "__exit__", "OOO", Py_None, Py_None, Py_None);
        Py_XDECREF(released);
    }
    Py_XDECREF(locked);
    Py_XDECREF(lock);
    if (exc != NULL) {
        PyErr_SetRaisedException(exc);
    }
    if (PyErr_Occurred()) {
        Py_CLEAR(module);
        if (PyErr_ExceptionMatches(PyExc_Exception)) {
            PyErr_Clear();  // an import may say more
        }
    }
    return module;
}

static bool
is_ready(PyObject *module)
{
    return PyModule_Check(module) && PyModule_GetDef(module) == &subi_module_def &&
           get_state(module)->ready;
}

module_state *
subi_state_here(void)
{
    PyObject *module = Py_XNewRef(PyDict_GetItemString(PyImport_GetModuleDict(), NAME));
    if (module == NULL) {
        module = import_quickly();
    }
    if (module == NULL && PyErr_Occurred()) {
        return NULL;
    }
    if (module == NULL || !is_ready(module)) {
        Py_XDECREF(module);
        module = PyImport_ImportModule(NAME);  // another thread may be at it
    }
    if (module == NULL) {
        return NULL;
    }
    module_state *state = is_ready(module) ? get_state(module) : NULL;
    if (state == NULL) {
        PyErr_SetString(PyExc_ImportError, "subinterpreters._subinterpreters was replaced");
    }
    Py_DECREF(module);  // sys.modules keeps it
    return state;
}

// ---- the module -------------------------------------------------------------------------------

static int
module_exec(PyObject *module)
{
    module_state *state = get_state(module);
    state->module = module;
    state->self = record_of_this_interpreter();
    if (state->self == NULL) {
        return -1;
    }
    state->self_id = subi_interp_id(state->self);
    if (!subi_private_is_here()) {
        subi_host_set(&subi_runtime);
        subi_signals_init();
        note_module_file(module);
    }
    if (subi_remedies_init() < 0 || subi_tracing_guard(state) < 0) {
        return -1;
    }
    state->ready = true;
    return in_part ? 0 : subi_state_complete(state);
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
        PyErr_Format(PyExc_AttributeError, "module '" NAME "' has no attribute '%U'", name);
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
