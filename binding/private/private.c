// SPDX-License-Identifier: MIT
#include "private.h"

#include <dlfcn.h>
#include <stdlib.h>

#include "../creation.h"
#include "../runtime.h"
#include "errors.h"
#include "heap.h"

// Finds the libpython to copy, once in the process.
int
subi_private_prepare(module_state *state)
{
    if (subi_libpython() != NULL) {
        return 0;
    }
    PyObject *module = PyImport_ImportModule("subinterpreters._libpython");
    PyObject *path = module != NULL ? PyObject_CallMethod(module, "find", NULL) : NULL;
    PyObject *bytes = path != NULL ? PyUnicode_EncodeFSDefault(path) : NULL;
    int r = bytes != NULL && subi_libpython_set(PyBytes_AS_STRING(bytes)) == SUBI_OK ? 0 : -1;
    if (r < 0 && !PyErr_Occurred()) {
        PyErr_NoMemory();
    }
    else if (r < 0 && PyErr_ExceptionMatches(PyExc_FileNotFoundError)) {
        PyObject *cause = PyErr_GetRaisedException();
        PyErr_Format(subi_error(state, InterpreterError), "%S", cause);
        Py_DECREF(cause);
    }
    Py_XDECREF(bytes);
    Py_XDECREF(path);
    Py_XDECREF(module);
    return r;
}

static int
fail(creation *c, const char *what)
{
    const char *why = subi_slot_error();
    if (why == NULL) {
        why = subi_slot_system_error();
    }
    PyOS_snprintf(c->error, sizeof(c->error), "%s: %s", what,
                  why != NULL ? why : "no reason given");
    return -1;
}

// Whether the copy is of this very version.
static bool
is_of_this_version(subi_slot *s, creation *c)
{
    const unsigned long *version = subi_slot_python_symbol(s, "Py_Version");
    if (version != NULL && *version == Py_Version) {
        return true;
    }
    PyOS_snprintf(c->error, sizeof(c->error), "%s is not the libpython of this CPython %.20s",
                  subi_libpython(), Py_GetVersion());
    return false;
}

// The table of the slot's own copy of this library.
static const runtime *
load_binding(subi_slot *s, creation *c)
{
    Dl_info here;
    void *handle = NULL;
    if (dladdr(&subi_runtime, &here) != 0) {
        handle = subi_slot_load(s, here.dli_fname, RTLD_NOW);
    }
    const runtime *table = handle != NULL ? dlsym(handle, "subi_runtime") : NULL;
    if (table == NULL) {
        fail(c, "its copy of subinterpreters cannot be loaded");
    }
    return table;
}

int
subi_private_create(native *n, creation *c)
{
    if (subi_slot_open(subi_libpython(), &n->slot) != SUBI_OK) {
        return fail(c, "no private copy of libpython could be loaded");
    }
    const runtime *table = is_of_this_version(n->slot, c) ? load_binding(n->slot, c) : NULL;
    if (table != NULL &&
        table->start(n, c->record, &c->settings, c->error, sizeof(c->error)) == 0) {
        return 0;
    }
    n->unloadable = n->unloadable || table == NULL;
    subi_private_discard(n);
    return -1;
}

static PyObject *
cache_info(PyObject *module, PyObject *unused)
{
    uint64_t size = 0;
    size_t count = 0;
    const char *folder = subi_cache_folder();
    if (folder != NULL && subi_cache_size(&size, &count) == SUBI_NOMEM) {
        return PyErr_NoMemory();
    }
    return Py_BuildValue("(NKKK)",
                         folder != NULL ? PyUnicode_DecodeFSDefault(folder) : Py_NewRef(Py_None),
                         (unsigned long long)size, (unsigned long long)count,
                         (unsigned long long)subi_cache_limit());
}

static PyObject *
cache_clear(PyObject *module, PyObject *unused)
{
    subi_cache_clear();
    Py_RETURN_NONE;
}

PyMethodDef subi_private_functions[] = {
    {"cache_info", cache_info, METH_NOARGS,
     "cache_info()\n--\n\nThe folder (None: there is none) with the copies that private "
     "interpreters load, its size\nin bytes, the number of files, and the largest size."},
    {"cache_clear", cache_clear, METH_NOARGS,
     "cache_clear()\n--\n\nRemove the copies. Those in use stay loaded."},
    {NULL},
};

void
subi_private_discard(native *n)
{
    if (subi_slot_close(n->slot, n->unloadable)) {
        subi_heap_free(n->heap);
    }
}
