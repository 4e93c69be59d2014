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
    // 7 are in it, and one place is kept free: the eighth needs a larger ring
    return send_some();
}

static bool
has_seven(void)
{
    return subi_channel_count(c) == 7;
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
    for (int i = 0; i < 7; i++) {
        subi_message m = subi_message_integer(i);
        must(subi_channel_send(c, 4 + i % 4, &m, SUBI_TRY) == SUBI_OK);
    }
    ok(fail_each(grow_ring, has_seven) == 1, "a send that grows the ring");
    ok(fail_each(list_users, always) == 1, "the list of users");
    ok(fail_each(release_by_new_user, always) == 1, "a release by a new user");
    bool in_order = true;
    for (int i = 0; i < 7; i++) {
        subi_message m;
        must(subi_channel_recv(c, SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK);
        in_order = in_order && m.u.integer == i;
    }
    ok(in_order, "the messages survived it");
    subi_channel_drop(c);
}

// A message that is received can be put back without memory, whatever was sent meanwhile.
static bool
can_put_back(subi_message *m)
{
    allocations_left = 0;
    subi_result r = subi_channel_put_back(c, m);
    bool used = allocations_left < 0;
    allocations_left = -1;
    return r == SUBI_OK && !used;
}

static subi_result
receive_some(void)
{
    subi_message m;
    subi_result r = subi_channel_recv(c, 1000, &m, SUBI_TRY);
    return r == SUBI_EMPTY ? SUBI_OK : r;
}

static void
test_putting_back(void)
{
    must(subi_channel_new(SUBI_UNBOUNDED, &c) == SUBI_OK);
    ok(fail_each(receive_some, still_empty) == 2,
       "a receive: a place to put it back, and the user");
    bool can = true;
    for (int64_t sent = 0, received = 0; received < 20; received++) {
        subi_message m;
        for (; sent < 2 * received + 1; sent++) {
            m = subi_message_integer(sent);
            must(subi_channel_send(c, SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK);
        }
        must(subi_channel_recv(c, SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK);
        while (c->ring.room - c->ring.count > 1) {
            subi_message more = subi_message_integer(sent++);
            must(subi_channel_send(c, SUBI_NOBODY, &more, SUBI_TRY) == SUBI_OK);
        }
        can = can && m.u.integer == received && can_put_back(&m);
        must(subi_channel_recv(c, SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK && m.u.integer == received);
    }
    ok(can, "what was received can be put back");
    subi_message rest;
    for (int i = 0; i < 3000; i++) {
        rest = subi_message_integer(i);
        must(subi_channel_send(c, SUBI_NOBODY, &rest, SUBI_TRY) == SUBI_OK);
    }
    while (subi_channel_count(c) > 0) {
        must(subi_channel_recv(c, SUBI_NOBODY, &rest, SUBI_TRY) == SUBI_OK);
    }
    ok(can_put_back(&rest), "also the last one after a burst");
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

static subi_sync *sync_object, *mutex;

static subi_result
make_lock(void)
{
    return subi_mutex_new(false, &sync_object);
}

static subi_result
make_semaphore(void)
{
    return subi_semaphore_new(1, true, &sync_object);
}

static subi_result
make_event(void)
{
    return subi_event_new(&sync_object);
}

static subi_result
make_condition(void)
{
    return subi_condition_new(mutex, &sync_object);
}

static subi_result
make_barrier(void)
{
    return subi_barrier_new(2, true, &sync_object);
}

// Nothing was written, and nothing keeps the condition's lock from being acquired.
static bool
is_untouched(void)
{
    subi_patience once = {.deadline = SUBI_TRY};
    return sync_object == NULL && subi_mutex_acquire(mutex, 1, &once) == SUBI_OK &&
           subi_mutex_release(mutex, 1) == SUBI_OK;
}

static void
test_syncs(void)
{
    static const struct {
        subi_result (*make)(void);
        const char *name;
    } kinds[] = {
        {make_lock, "a lock"},           {make_semaphore, "a semaphore"}, {make_event, "an event"},
        {make_condition, "a condition"}, {make_barrier, "a barrier"},
    };
    must(subi_mutex_new(true, &mutex) == SUBI_OK);
    for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
        sync_object = NULL;
        ok(fail_each(kinds[k].make, is_untouched) > 0, "%s", kinds[k].name);
        subi_sync_drop(sync_object);
    }
    subi_sync_drop(mutex);
}

static void *
acquire_without_memory(void *m)
{
    subi_patience once = {.deadline = SUBI_TRY};
    allocations_left = 0;  // the first use of the library by this thread
    subi_result acquired = subi_mutex_acquire(m, 1, &once);
    bool failed = allocations_left < 0;
    allocations_left = -1;
    must(failed && acquired == SUBI_NOMEM);
    return NULL;
}

static void
test_owner(void)
{
    subi_mutex_state looks;
    must(subi_mutex_new(false, &mutex) == SUBI_OK);
    tap_join(tap_thread(acquire_without_memory, mutex));
    ok(subi_mutex_look(mutex, &looks) == SUBI_OK && looks.depth == 0 && !looks.owner_died,
       "a lock that a new thread wants");
    subi_sync_drop(mutex);
}

static subi_notifier *notifier;

static subi_result
make_notifier(void)
{
    return subi_notifier_new(1, &notifier);
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
    test_putting_back();
    must(subi_channel_new(1, &c) == SUBI_OK);
    ok(fail_each(select_many, nobody_waits) >= 3, "a select with many cases");
    subi_channel_drop(c);
    must(subi_thread_self() != NULL);
    ok(fail_each(make_interp, always) > 0, "a new interpreter");
    ok(fail_each(list_interps, always) == 1, "the list of interpreters");
    subi_interp_drop(interp);
    test_syncs();
    test_owner();
    ok(fail_each(make_notifier, always) == 1, "a notifier");
    subi_notifier_drop(notifier);
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
