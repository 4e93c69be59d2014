// SPDX-License-Identifier: MIT
//
// Operations on channels for asyncio, without blocking: the types Operation and Notifier, which
// subinterpreters/_aio.py makes coroutines of.
#ifndef SUBI_ASYNC_H
#define SUBI_ASYNC_H

#include "state.h"

int subi_async_init(PyObject *module, module_state *state);

extern PyMethodDef subi_async_functions[];

// Coroutines that receive from a channel, and send to one, which is kept by its `owner`. The message
// becomes the coroutine's, also when this fails. NULL with an exception set.
PyObject *subi_async_recv(module_state *state, PyObject *owner, subi_channel *c);
PyObject *subi_async_send(module_state *state, PyObject *owner, subi_channel *c, subi_message *m);

// An asynchronous iterator over what is received from the end of a channel.
PyObject *subi_async_iterate(PyObject *end);

#endif
