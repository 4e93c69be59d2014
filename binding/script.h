// SPDX-License-Identifier: MIT
//
// Source text that runs in an interpreter. The code of the last one is kept, since many programs run the
// same text again and again, and compiling a short text takes longer than running it.
//
// All functions: attached to the interpreter.
#ifndef SUBI_SCRIPT_H
#define SUBI_SCRIPT_H

#include <Python.h>

typedef struct last_script {
    char *text;      // NULL: none is kept
    PyObject *code;  // strong
} last_script;

// The code of text (UTF-8), a new reference. Warnings of the compiler come only when it does compile, as
// with modules. NULL with an exception.
PyObject *subi_script_compile(last_script *last, const char *text);

void subi_script_forget(last_script *last);

#endif
