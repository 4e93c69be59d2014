// SPDX-License-Identifier: MIT
//
// Where what a run prints goes. If the caller has replaced its sys.stdout or sys.stderr, it goes there: the
// thread of the run attaches itself to the caller and calls `write` of that stream, so the order is kept,
// and nothing is on its way when the run ends. If not, or on threads that the code has started, it goes to
// the interpreter's own stream.
#ifndef SUBI_OUTPUT_H
#define SUBI_OUTPUT_H

#include "backend.h"
#include "state.h"

// Bits for the streams that are forwarded.
enum { SUBI_STDOUT = 1, SUBI_STDERR = 2 };

// Those that the caller of a run has replaced. Attached to it.
unsigned subi_output_replaced(void);

// Attached to the interpreter of the run, at its beginning and end: puts streams that forward in the place
// of its own ones, unless its code has replaced them, and takes them out again. Without an exception.
void subi_output_begin(unsigned streams);
void subi_output_end(unsigned streams);

// What a call of write or flush raised.
typedef struct output_failure {
    bool raised;
    bool kept;       // for the end of the run: no Exception, but the likes of KeyboardInterrupt
    char type[64];   // a builtin one's name
    char text[256];  // UTF-8
} output_failure;

// See runtime.h. In the caller of n's run: writes UTF-8, in which surrogates are encoded like the rest, or
// flushes, with utf8 NULL.
void subi_output_write_here(native *n, unsigned stream, const char *utf8, Py_ssize_t size,
                            output_failure *failure);

#endif
