// SPDX-License-Identifier: MIT
#include "script.h"

#include <stdlib.h>
#include <string.h>

#define LONGEST_KEPT 65536  // bytes
#define FILENAME     "<string>"

// What the compiler would tell audit hooks.
static int
audit(const char *text)
{
    PyObject *filename = PyUnicode_FromString(FILENAME);
    int r = filename != NULL ? PySys_Audit("compile", "yO", text, filename) : -1;
    Py_XDECREF(filename);
    return r;
}

static void
keep(last_script *last, const char *text, PyObject *code)
{
    size_t size = strnlen(text, LONGEST_KEPT + 1);
    char *copy = size <= LONGEST_KEPT ? malloc(size + 1) : NULL;
    if (copy == NULL) {
        return;
    }
    memcpy(copy, text, size + 1);
    subi_script_forget(last);
    *last = (last_script){.text = copy, .code = Py_NewRef(code)};
}

PyObject *
subi_script_compile(last_script *last, const char *text)
{
    if (last->text != NULL && strcmp(last->text, text) == 0) {
        PyObject *code = Py_NewRef(last->code);
        if (audit(text) < 0) {
            Py_CLEAR(code);
        }
        return code;
    }
    PyObject *code = Py_CompileString(text, FILENAME, Py_file_input);
    if (code != NULL) {
        keep(last, text, code);
    }
    return code;
}

void
subi_script_forget(last_script *last)
{
    PyObject *code = last->code;
    free(last->text);
    *last = (last_script){0};
    Py_XDECREF(code);
}
