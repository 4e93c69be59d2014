// SPDX-License-Identifier: MIT
//
// The types InterpreterID and ChannelID of `_xxsubinterpreters`, as CPython 3.9 to 3.11 had them.
#ifndef SUBI_LEGACY_IDS_H
#define SUBI_LEGACY_IDS_H

#include "state.h"

// The types of handles in a message.
#define SUBI_HANDLE_CHANNEL_ID_BOTH 'B'
#define SUBI_HANDLE_CHANNEL_ID_SEND 'S'
#define SUBI_HANDLE_CHANNEL_ID_RECV 'R'

int subi_legacy_ids_init(module_state *state);

// A new InterpreterID for i; does not steal i.
PyObject *subi_interpreter_id_new(module_state *state, subi_interp *i);

// The interpreter that an InterpreterID or int names, as a new reference. NULL with TypeError,
// ValueError, OverflowError, or RuntimeError when there is none.
subi_interp *subi_interpreter_id_resolve(module_state *state, PyObject *arg);

// A new ChannelID for c; does not steal c.
PyObject *subi_channel_id_new(module_state *state, subi_channel *c, subi_end end);

// The number that a ChannelID or int names. -1 with TypeError, ValueError or OverflowError.
int subi_channel_id_parse(module_state *state, PyObject *arg, int64_t *id);

// The same as a listed channel, a new reference. NULL also with ChannelNotFoundError.
subi_channel *subi_channel_id_resolve(module_state *state, PyObject *arg);

// _channel_id(id, *, send=None, recv=None, force=False, _resolve=False)
PyObject *subi_channel_id_make(module_state *state, PyObject *args, PyObject *kwds);

// If obj is a ChannelID: true, and a segment that keeps its channel alive until it is freed.
bool subi_channel_id_pack(module_state *state, PyObject *obj, char *type, subi_segment *segment);
PyObject *subi_channel_id_unpack(module_state *state, char type, const subi_segment *segment);

#endif
