// SPDX-License-Identifier: MIT
//
// Out of memory at every allocation in turn: the call says so, and nothing has changed. Linked
// with --wrap for malloc, calloc and realloc.
#include "peek.h"

static int allocations_left = -1;  // the one after these fails; negative: none does

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static bool
fails(void)
{
    return allocations_left >= 0 && allocations_left-- == 0;
}

void *
__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

static size_t
channels_listed(void)
{
    int64_t *ids;
    size_t count;
    must(subi_channel_list(&ids, &count) == SUBI_OK);
    free(ids);
    return count;
}

// Runs `step` with its first allocation failing, then its second, ... until it has all it wants.
// Returns how many failures there were; dies when a step fails differently or changes anything.
static int
fail_each(subi_result (*step)(void), bool (*unchanged)(void))
{
    for (int n = 0;; n++) {
        allocations_left = n;
        subi_result r = step();
        bool used = allocations_left < 0;
        allocations_left = -1;
        if (r == SUBI_OK) {
            must(!used);  // a failure was swallowed
            return n;
        }
        must(used && r == SUBI_NOMEM && unchanged());
    }
}

static subi_channel *c;
static size_t listed_before;

static subi_result
make_channel(void)
{
    return subi_channel_new(1, &c);
}

static bool
none_listed_more(void)
{
    return channels_listed() == listed_before;
}

static subi_result
send_some(void)
{
    subi_message m = subi_message_integer(3);
    subi_result r = subi_channel_send(c, 7, &m, SUBI_FOREVER);
    must(r == SUBI_OK || m.u.integer == 3);
    return r;
}

static bool
still_empty(void)
{
    return subi_channel_count(c) == 0;
}

static void
test_channels(void)
{
    ok(fail_each(make_channel, none_listed_more) > 0, "a new channel");
    ok(fail_each(send_some, still_empty) == 2, "a send: the user and the ring");
    subi_message m;
    ok(subi_channel_recv(c, 7, &m, SUBI_TRY) == SUBI_OK && m.u.integer == 3, "then it works");
    subi_channel_drop(c);
}

static bool
always(void)
{
    return true;
}

static subi_result
grow_ring(void)
{
    // 8 are in it: the ninth needs a larger ring
    return send_some();
}

static bool
has_eight(void)
{
    return subi_channel_count(c) == 8;
}

static subi_result
release_by_new_user(void)
{
    return subi_channel_release(c, 1000, SUBI_SEND);
}

static subi_result
list_users(void)
{
    int64_t *ids;
    size_t count;
    subi_result r = subi_channel_users(c, SUBI_SEND, &ids, &count);
    if (r == SUBI_OK) {
        must(count == 4);
        free(ids);
    }
    return r;
}

static void
test_growing(void)
{
    must(subi_channel_new(SUBI_UNBOUNDED, &c) == SUBI_OK);
    for (int i = 0; i < 8; i++) {
        subi_message m = subi_message_integer(i);
        must(subi_channel_send(c, 4 + i % 4, &m, SUBI_TRY) == SUBI_OK);
    }
    ok(fail_each(grow_ring, has_eight) == 1, "a send that grows the ring");
    ok(fail_each(list_users, always) == 1, "the list of users");
    ok(fail_each(release_by_new_user, always) == 1, "a release by a new user");
    bool in_order = true;
    for (int i = 0; i < 8; i++) {
        subi_message m;
        must(subi_channel_recv(c, SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK);
        in_order = in_order && m.u.integer == i;
    }
    ok(in_order, "the messages survived it");
    subi_channel_drop(c);
}

static subi_result
select_many(void)
{
    subi_message m[12];
    subi_case cases[12];
    size_t chosen = 77;
    for (int i = 0; i < 12; i++) {
        cases[i] = (subi_case){c, SUBI_RECV, &m[i]};
    }
    subi_result r = subi_select(cases, 12, 1, 1, &chosen);
    must(chosen == 77);
    return r == SUBI_TIMEOUT ? SUBI_OK : r;
}

static bool
nobody_waits(void)
{
    return peek_waiting(c, SUBI_RECV) == 0;
}

static subi_interp *interp;

static subi_result
make_interp(void)
{
    return subi_interp_new(SUBI_KIND_OWN, "name", 0, &interp);
}

static subi_result
list_interps(void)
{
    int64_t *ids;
    size_t count;
    subi_result r = subi_interp_list(&ids, &count);
    if (r == SUBI_OK) {
        free(ids);
    }
    return r;
}

static subi_block *block;

static subi_result
attach(void)
{
    return subi_block_attach(block, (subi_segment){.size = 1});
}

static bool
has_no_segment(void)
{
    return subi_block_segment_count(block) == 0;
}

// A file in the cache that is to be listed.
static void
make_cache(char folder[])
{
    char path[200];
    must(mkdtemp(folder) != NULL && setenv("SUBINTERPRETERS_CACHE", folder, 1) == 0);
    snprintf(path, sizeof(path), "%s/private-x.so.0123456789abcdef.1", folder);
    FILE *file = fopen(path, "we");
    must(file != NULL && fclose(file) == 0);
}

static subi_result
measure_cache(void)
{
    uint64_t size;
    size_t count;
    subi_result r = subi_cache_size(&size, &count);
    must(r != SUBI_OK || count == 1);
    return r;
}

int
main(int argc, char **argv)
{
    char folder[] = "/tmp/test_nomem.XXXXXX";
    tap_start(argc, argv);
    listed_before = channels_listed();
    test_channels();
    test_growing();
    must(subi_channel_new(1, &c) == SUBI_OK);
    ok(fail_each(select_many, nobody_waits) >= 3, "a select with many cases");
    subi_channel_drop(c);
    must(subi_thread_self() != NULL);
    ok(fail_each(make_interp, always) > 0, "a new interpreter");
    ok(fail_each(list_interps, always) == 1, "the list of interpreters");
    subi_interp_drop(interp);
    block = subi_block_new(1);
    ok(fail_each(attach, has_no_segment) == 1, "a segment");
    allocations_left = 0;
    ok(subi_block_resize(&block, 1000) == SUBI_NOMEM && subi_block_size(block) == 1, "a resize");
    subi_block_drop(block);
    allocations_left = 0;
    ok(subi_block_new(1) == NULL, "a block");
    make_cache(folder);
    ok(fail_each(measure_cache, always) == 1, "the size of the cache");
    must(subi_cache_clear() == SUBI_OK && rmdir(folder) == 0);
    return tap_done();
}
