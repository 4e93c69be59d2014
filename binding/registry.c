// SPDX-License-Identifier: MIT
#include "registry.h"

int
subi_registry_add(PyObject *registry, PyObject *number, PyObject *obj)
{
    PyObject *address = PyLong_FromVoidPtr(obj);
    int r = address != NULL ? PyDict_SetItem(registry, number, address) : -1;
    Py_XDECREF(address);
    return r;
}

PyObject *
subi_registry_find(PyObject *registry, PyObject *number)
{
    PyObject *address = PyDict_GetItemWithError(registry, number);  // borrowed
    return address != NULL ? PyLong_AsVoidPtr(address) : NULL;
}

void
subi_registry_remove(PyObject *registry, PyObject *number)
{
    if (registry != NULL) {  // else the module has been cleared
        PyObject *exc = PyErr_GetRaisedException();
        PyDict_DelItem(registry, number);
        PyErr_SetRaisedException(exc);
    }
}
