// SPDX-License-Identifier: MIT
//
// Operations on channels for asyncio, without blocking: the types Operation and Notifier, which
// subinterpreters/_aio.py makes coroutines of.
#ifndef SUBI_ASYNC_H
#define SUBI_ASYNC_H

#include "state.h"

int subi_async_init(module_state *state);

extern PyMethodDef subi_async_functions[];

// What an operation of one send or receive comes to. Without these it is what select() makes of it.
typedef struct subi_async_outcome {
    // Whether a message that was received is to be dropped, and the next one taken. May be NULL.
    bool (*skips)(module_state *state, const subi_message *m);
    // What the coroutine returns or raises for r, which is never SUBI_EMPTY.
    PyObject *(*result)(module_state *state, PyObject *owner, subi_result r, const subi_message *m);
} subi_async_outcome;

// Coroutines that receive from a channel, and send to one, which is kept by its `owner`. The message
// becomes the coroutine's, also when this fails. `outcome` may be NULL, else it is a constant. NULL with
// an exception set.
PyObject *subi_async_recv(module_state *state, PyObject *owner, subi_channel *c,
                          const subi_async_outcome *outcome);
PyObject *subi_async_send(module_state *state, PyObject *owner, subi_channel *c, subi_message *m,
                          const subi_async_outcome *outcome);

// An asynchronous iterator over what is received from the end of a channel.
PyObject *subi_async_iterate(PyObject *end);

#endif
