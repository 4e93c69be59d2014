// SPDX-License-Identifier: MIT
//
// How the program's Python was started, as far as a private runtime is to be started the same way.
// Read in the caller's runtime, used in another one where no object can be read yet: plain memory.
#ifndef SUBI_SETTINGS_H
#define SUBI_SETTINGS_H

#include "state.h"

typedef struct text_list {
    size_t count;
    wchar_t **items;  // malloc'd, like the items
} text_list;

// The strings of sys that a PyConfig has, too.
enum {
    TEXT_EXECUTABLE,
    TEXT_BASE_EXECUTABLE,
    TEXT_BASE_PREFIX,
    TEXT_BASE_EXEC_PREFIX,
    TEXT_PLATLIBDIR,
    TEXT_PYCACHE_PREFIX,
    TEXT_COUNT,
};

// The fields of sys.flags that matter.
enum {
    FLAG_OPTIMIZE,
    FLAG_DONT_WRITE_BYTECODE,
    FLAG_NO_USER_SITE,
    FLAG_NO_SITE,
    FLAG_IGNORE_ENVIRONMENT,
    FLAG_VERBOSE,
    FLAG_BYTES_WARNING,
    FLAG_ISOLATED,
    FLAG_DEV_MODE,
    FLAG_UTF8_MODE,
    FLAG_WARN_DEFAULT_ENCODING,
    FLAG_SAFE_PATH,
    FLAG_INT_MAX_STR_DIGITS,
    FLAG_UNBUFFERED,  // of no sys.flags
    FLAG_COUNT,
};

typedef struct settings {
    wchar_t *texts[TEXT_COUNT];  // malloc'd; NULL: not known
    int flags[FLAG_COUNT];
    text_list argv, orig_argv;
    text_list warnoptions;
    text_list xoptions;
} settings;

// Reads the calling interpreter's. *s is all zeros. -1 with an exception set; *s is to be freed all
// the same.
int subi_settings_init(settings *s);
void subi_settings_fini(settings *s);

#endif
