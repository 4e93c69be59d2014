// SPDX-License-Identifier: MIT
#include "handles.h"

#include "buffer.h"
#include "buffer_type.h"
#include "channel_type.h"
#include "descriptor_type.h"
#include "errors.h"
#include "legacy/ids.h"
#include "queue_type.h"
#include "sync/sync.h"

// ---- writing ----------------------------------------------------------------------------------

static int
write_segment(writer *w, char type, subi_segment segment)
{
    size_t number = subi_block_segment_count(w->block);
    segment.type = type;
    if (subi_block_attach(w->block, segment) != SUBI_OK) {
        segment.free(segment.owner);
        PyErr_NoMemory();
        return -1;
    }
    return write_tag(w, CODEC_HANDLE) < 0 ? -1 : write_number(w, number);
}

int
subi_write_handle(writer *w, PyObject *obj)
{
    subi_segment segment;
    char type;
    if (subi_channel_end_pack(w->state, obj, &type, &segment) ||
        subi_queue_pack(w->state, obj, &type, &segment) ||
        subi_channel_id_pack(w->state, obj, &type, &segment) ||
        subi_shared_buffer_pack(w->state, obj, &type, &segment) ||
        subi_sync_pack(obj, &type, &segment) ||
        subi_descriptor_pack(w->state, obj, &type, &segment)) {
        return write_segment(w, type, segment);
    }
    return 1;
}

// Ends the buffer.
static int
write_opened(writer *w, outgoing_buffer *b)
{
    bool is_memory = b->borrowed != NULL;
    subi_segment segment =
        is_memory ? subi_memory_segment(b->borrowed)
                  : subi_export_segment(b->memory, (void *)b->extent.start, b->extent.size);
    int r = write_segment(w, is_memory ? SUBI_HANDLE_MEMORY_VIEW : SUBI_HANDLE_BUFFER, segment);
    unsigned char *p = r == 0 ? reserve(w, subi_buffer_written_size(b)) : NULL;
    if (p != NULL) {
        subi_buffer_write(b, p);
    }
    subi_buffer_done(b);
    return p != NULL ? 0 : -1;
}

int
subi_write_buffer(writer *w, PyObject *obj)
{
    outgoing_buffer b;
    return subi_buffer_open(w->state, obj, &b) < 0 ? -1 : write_opened(w, &b);
}

int
subi_write_long_bytes(writer *w, PyObject *obj)
{
    outgoing_buffer b;
    if (subi_buffer_open(w->state, obj, &b) < 0) {
        if (!subi_error_matches(w->state, NotShareableError)) {
            return -1;
        }
        PyErr_Clear();
        return 1;
    }
    subi_segment segment = subi_export_segment(b.opened, b.view->buf, (size_t)b.view->len);
    int r = write_segment(w, SUBI_HANDLE_BYTES, segment);
    subi_buffer_done(&b);
    return r;
}

// Whether a memoryview of it can be in the place of an object: not in that of a scalar, such as one of
// numpy's; nor in that of a key, unless it has a hash (see memory_hash of CPython).
static bool
can_stand_for(const outgoing_buffer *b, bool key)
{
    const char *format = b->view->format != NULL ? b->view->format : "B";
    bool has_hash = b->view->readonly && strspn(format, "Bbc") == 1 && format[1] == 0;
    return (b->view->ndim > 0 || !b->view->readonly) && (!key || has_hash);
}

int
subi_write_lent(writer *w, PyObject *obj)
{
    outgoing_buffer b;
    if (subi_buffer_open(w->state, obj, &b) < 0) {
        return -1;
    }
    if (PyMemoryView_Check(obj) || can_stand_for(&b, w->hashing > 0)) {
        return write_opened(w, &b);
    }
    subi_buffer_done(&b);
    return 1;
}

// ---- reading ----------------------------------------------------------------------------------

static PyObject *
read_buffer(reader *r, const subi_segment *segment)
{
    buffer_layout layout;
    if (!take_into(r, &layout, sizeof(layout))) {
        return NULL;
    }
    if (layout.ndim < 0 || layout.ndim > PyBUF_MAX_NDIM ||
        layout.format_size > (size_t)(r->end - r->at)) {
        return subi_raise_malformed();
    }
    const unsigned char *p = take(r, subi_buffer_rest_size(&layout));
    return p != NULL ? subi_buffer_unpack(r->state, segment, &layout, p) : NULL;
}

// Of a type that need not be there yet.
static PyObject *
read_other(reader *r, const subi_segment *segment)
{
    switch (segment->type) {
    case SUBI_HANDLE_QUEUE:
        return subi_queue_unpack(r->state, segment);
    case SUBI_HANDLE_SYNC:
        return subi_sync_unpack(r->state, segment);
    case SUBI_HANDLE_DESCRIPTOR:
        return subi_descriptor_unpack(r->state, segment);
    case SUBI_HANDLE_CHANNEL_ID_BOTH:
    case SUBI_HANDLE_CHANNEL_ID_SEND:
    case SUBI_HANDLE_CHANNEL_ID_RECV:
        return subi_channel_id_unpack(r->state, segment->type, segment);
    default:
        return subi_raise_malformed();
    }
}

PyObject *
subi_read_handle(reader *r)
{
    uint64_t number;
    if (read_number(r, &number) < 0) {
        return NULL;
    }
    const subi_segment *segment = subi_block_segment(r->block, number);
    if (segment == NULL) {
        return subi_raise_malformed();
    }
    let_collect(r);
    // not from the bytes: what is there cannot make one object pass for another
    switch (segment->type) {
    case SUBI_HANDLE_BUFFER:
    case SUBI_HANDLE_MEMORY_VIEW:
        return subi_buffer_type_make(r->state) == 0 ? read_buffer(r, segment) : NULL;
    case SUBI_HANDLE_BYTES:
        return subi_new_bytes(segment->data, segment->size);  // then the sender has its own back
    case SUBI_HANDLE_MEMORY:
        return subi_buffer_type_make(r->state) == 0 ? subi_shared_buffer_unpack(r->state, segment)
                                                    : NULL;
    case SUBI_HANDLE_RECV_CHANNEL:
    case SUBI_HANDLE_SEND_CHANNEL:
        return subi_channel_types_make(r->state) == 0
                   ? subi_channel_end_unpack(r->state, segment->type, segment)
                   : NULL;
    default:
        return subi_state_complete(r->state) == 0 ? read_other(r, segment) : NULL;
    }
}
