// SPDX-License-Identifier: MIT
//
// Calls of functions in libraries that are loaded at run time.
#ifndef CALL_H
#define CALL_H

#include <dlfcn.h>
#include <string.h>

#include "tap.h"

// Makes *function point at what dlsym has found: ISO C has no cast for that.
#define as_function(symbol, function)                                                              \
    do {                                                                                           \
        void *found_ = (symbol);                                                                   \
        must(found_ != NULL);                                                                      \
        memcpy((function), &found_, sizeof(*(function)));                                          \
    } while (0)

static inline int
call(void *handle, const char *name)
{
    int (*function)(void);
    as_function(dlsym(handle, name), &function);
    return function();
}

#endif
