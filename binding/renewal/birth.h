// SPDX-License-Identifier: MIT
//
// The state that an interpreter was born with: what it takes to restore it, and to prove that it is
// restored.
#ifndef SUBI_BIRTH_H
#define SUBI_BIRTH_H

#include "known.h"
#include "traces.h"

// A function that tells a setting, one that sets it, and its value.
typedef struct birth_setting {
    PyObject *get, *set, *value;
} birth_setting;

// An attribute that must not have changed.
typedef struct birth_probe {
    PyObject *object;
    const char *name;
    PyObject *value;
} birth_probe;

#define BIRTH_SETTINGS_MAX 10
#define BIRTH_PROBES_MAX   20
#define BIRTH_HELD_STREAMS 2

typedef struct birth {
    subi_known known;
    uint64_t environment;  // a sum over the process's environment variables
    int inherited;         // see traces.h
    subi_traces traces;

    PyObject *containers;  // list: dicts, lists and sets that are restored
    PyObject *contents;    // list: a copy of each
    PyObject *classes;     // list: those whose attributes are restored
    PyObject *attributes;  // list: a copy of the namespace of each
    PyObject *abstract;    // list: what the abstract classes know of their subclasses
    PyObject *private;     // dict: a copy of what extension modules keep in the interpreter
    PyObject *main;        // dict: a copy of the namespace of __main__
    birth_setting settings[BIRTH_SETTINGS_MAX];
    birth_probe probes[BIRTH_PROBES_MAX];
    PyObject *unread[BIRTH_HELD_STREAMS];  // sys.stdin and its buffer
    uint64_t unread_sum;
    PyObject *collect, *unfreeze, *import_lock_held, *atexit_count;  // functions, as they were
    PyObject *extension_folder;  // str: where the standard library's extension modules are; or NULL
} birth;

// Notes the state of an interpreter in which no code of a user has run. Attached to it. NULL without
// an exception: it cannot be noted, and the interpreter cannot be renewed.
birth *subi_birth_new(void);

// Attached to its interpreter. NULL is allowed.
void subi_birth_free(birth *b);

// Gives the interpreter a `__main__` as it is at the beginning. Attached. -1: out of memory, no
// exception set.
int subi_birth_install_main(const birth *b);

// A sum over the process's environment variables, as `environment` is.
uint64_t subi_birth_sum_environment(void);

// Whether the process is still such that a new interpreter would be born like this one. No thread
// state.
bool subi_birth_fits_process(const birth *b);

// The registries and caches that the abstract classes have now, as a new list. NULL with an exception
// set.
PyObject *subi_birth_abstract_sets(const birth *b);

// CPython remembers the codecs that were looked up: makes it forget. -1 with an exception set.
int subi_birth_clear_codecs(const birth *b);

// Whether functions are registered with atexit, which need not be in sys.modules. Attached.
bool subi_birth_has_atexit_functions(const birth *b);

// Whether the interpreter is as it was.
bool subi_birth_is_restored(const birth *b);

#endif
