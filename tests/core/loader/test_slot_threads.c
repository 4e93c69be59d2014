// SPDX-License-Identifier: MIT
//
// Threads that code in copies starts: a slot that is closed waits for those that are ending, and stays
// for the others.
#include <errno.h>

#include "slot_test.h"

#define THREADS 8

static const char *threads, *unseen, *early;
static subi_slot *common;

static void
send(void *handle, const char *name)
{
    void (*function)(void);
    as_function(dlsym(handle, name), &function);
    function();
}

// A slot with the library that starts threads; the one of its constructor has ended.
static void *
open_threads(subi_slot **s)
{
    *s = open_slot();
    void *handle = load(*s, threads);
    must(call(handle, "threads_early") == 0);
    send(handle, "threads_go");
    must(call(handle, "threads_join") == 0);
    return handle;
}

static void
test_held(void)
{
    subi_slot *s = open_slot();
    void *handle = load(s, threads);
    ok(call(handle, "threads_early") == 0 && !subi_slot_close(s, true),
       "a thread that a constructor's thread has started keeps a slot");
    send(handle, "threads_go");
    ok(call(handle, "threads_join") == 0 && call_python(s) == 2, "it has gone on");

    handle = open_threads(&s);
    must(call(handle, "threads_start") == 0);
    int64_t before = subi_now();
    ok(!subi_slot_close(s, true) && subi_now() - before >= 100 * MS,
       "so does one that a function has started, after some time");
    send(handle, "threads_go");
    ok(call(handle, "threads_join") == 0 && call_python(s) == 3, "it has gone on");

    handle = open_threads(&s);
    ok(call(handle, "threads_too_big") > 0 && subi_slot_close(s, true),
       "one that could not be started does not");
}

static atomic_int closings;  // the thread sanitizer does not see how copies join threads

static int
close_common(void)
{
    bool closed = subi_slot_close(common, true);
    atomic_fetch_add(&closings, 1);
    return closed;
}

static void
test_own_thread(void)
{
    int (*apart)(int (*)(void));
    as_function(dlsym(open_threads(&common), "threads_apart"), &apart);
    int64_t before = subi_now();
    ok(apart(close_common) == 0 && atomic_load(&closings) == 1 && subi_now() - before < 100 * MS,
       "a slot is not closed by a thread of its own");
    subi_slot *other = common;
    common = open_slot();
    ok(apart(close_common) == 1 && !subi_slot_close(other, false), "another one is");
}

static void
test_held_fork(void)
{
    subi_slot *s;
    int status;
    void *handle = open_threads(&s);
    must(call(handle, "threads_start") == 0);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(10);
        _exit(subi_slot_close(s, true) ? 0 : 1);
    }
    must(waitpid(pid, &status, 0) == pid);
    send(handle, "threads_go");
    ok(call(handle, "threads_join") == 0 && subi_slot_close(s, true) && status == 0,
       "the child of a fork has no such threads");
}

static void
test_keyed(void)
{
    subi_slot *s;
    void *shared = dlopen(plain, RTLD_NOW);
    must(shared != NULL);
    int before = call(shared, "plain_peek");
    ok(call(open_threads(&s), "threads_keyed") == 0 && call(shared, "plain_peek") == before + 4,
       "threads of a slot call the destructors of its keys");
    dlclose(shared);
    must(subi_slot_close(s, true));
}

static void
test_std_thread(void)
{
    subi_slot *s;
    int (*start)(int);
    void *shared = dlopen(plain, RTLD_NOW), *handle = open_threads(&s);
    must(shared != NULL);
    as_function(dlsym(handle, "threads_std"), &start);
    int before = call(shared, "plain_peek");
    ok(start(0) == 0 && call(shared, "plain_peek") == before + 2 && subi_slot_close(s, true),
       "a std::thread is counted until it has ended");
    handle = open_threads(&s);
    as_function(dlsym(handle, "threads_std"), &start);
    must(start(1) == 0);
    ok(!subi_slot_close(s, true), "one that has not keeps a slot");
    send(handle, "threads_go");
    ok(call(handle, "threads_join") == 0 && call(shared, "plain_peek") == before + 4,
       "it has gone on");
    dlclose(shared);
}

#ifdef __SANITIZE_THREAD__

static void
test_local(void)
{
    // it does not see how copies join threads, and ends when a thread gets the number of one of these
}

#else

// A thread of the test that has an object of the slot's.
typedef struct owner {
    void *handle;
    atomic_int step;  // 1: it has; 2: it may end
} owner;

static void *
own(void *arg)
{
    owner *o = arg;
    must(call(o->handle, "threads_local") == 0);
    atomic_store(&o->step, 1);
    await(atomic_load(&o->step) == 2);
    return NULL;
}

static void
test_local(void)
{
    subi_slot *s;
    void *shared = dlopen(plain, RTLD_NOW);
    must(shared != NULL);
    int before = call(shared, "plain_peek");
    ok(call(open_threads(&s), "threads_local_apart") == 0 &&
           call(shared, "plain_peek") == before + 2 && subi_slot_close(s, true),
       "threads of a slot destroy their objects");

    owner o = {.handle = open_threads(&s)};
    pthread_t t = tap_thread(own, &o);
    await(atomic_load(&o.step) == 1);
    atomic_store(&o.step, 2);
    tap_join(t);
    ok(call(shared, "plain_peek") == before + 4 && subi_slot_close(s, true),
       "other threads do, too");

    must(call(open_threads(&s), "threads_local") == 0);
    ok(subi_slot_close(s, true) && call(shared, "plain_peek") == before + 6,
       "so does the thread that closes the slot");

    o = (owner){.handle = open_threads(&s)};
    t = tap_thread(own, &o);
    await(atomic_load(&o.step) == 1);
    ok(subi_slot_close(s, true), "those of others do not keep it");
    atomic_store(&o.step, 2);
    tap_join(t);
    ok(call(shared, "plain_peek") == before + 6, "and are left");

    o = (owner){.handle = open_threads(&s)};
    t = tap_thread(own, &o);
    await(atomic_load(&o.step) == 1);
    dlclose(o.handle);  // as code in copies may do
    atomic_store(&o.step, 2);
    tap_join(t);
    ok(call(shared, "plain_peek") == before + 8 && subi_slot_close(s, true),
       "an object keeps its library, whoever closes that");
    dlclose(shared);
}

#endif

static void
test_early(void)
{
    void *shared = dlopen(plain, RTLD_NOW);
    must(shared != NULL);
    int before = call(shared, "plain_peek");
    for (int end = 0; end < 2; end++) {
        subi_slot *s = open_slot();
        void *handle = load(s, early);
        int key = call(handle, "early_key");
        must(call(handle, "early_ready") == 0 && key >= 0);
        if (end) {
            send(handle, "early_go");
            must(call(handle, "early_join") == 0);
        }
        ok(subi_slot_close(s, true) == end, "a constructor's std::thread %s",
           end ? "that has ended does not keep a slot, nor does its object" : "keeps a slot");
        ok((pthread_setspecific((pthread_key_t)key, &key) == EINVAL) == end, "its key is %s",
           end ? "gone with the slot" : "there");
        if (!end) {
            send(handle, "early_go");
            must(call(handle, "early_join") == 0);
        }
    }
    ok(call(shared, "plain_peek") == before + 1,
       "a constructor's object is destroyed, a destructor's is not");
    dlclose(shared);
}

static void
test_unseen(void)
{
    subi_slot *s = open_slot();
    void *handle = load(s, unseen);
    ok(!subi_slot_close(s, true) && call(handle, "unseen") == 1,
       "a slot with code that starts threads unseen stays");
}

// The threads are in the copy's code when the slot is about to be closed, but not for long.
static void
test_quick(void)
{
    int closed = 0, rounds = 60;
    void *shared = dlopen(plain, RTLD_NOW);
    must(shared != NULL);
    for (int i = 0; i < rounds; i++) {
        subi_slot *s;
        int (*quick)(int);
        as_function(dlsym(open_threads(&s), "threads_quick"), &quick);
        int before = call(shared, "plain_peek");
        for (int k = 0; k < THREADS; k++) {
            must(quick((i + k) % 3) == 0);
        }
        await(call(shared, "plain_peek") == before + THREADS);
        closed += subi_slot_close(s, true);
    }
    dlclose(shared);
    ok(closed > rounds / 2, "threads that are just ending are waited for: %d of %d closed", closed,
       rounds);
}

int
main(int argc, char **argv)
{
    slot_test_start(argc, argv);
    threads = find_library("SLOT_THREADS");
    unseen = find_library("SLOT_UNSEEN");
    early = find_library("SLOT_EARLY");
    test_held();
    test_own_thread();
    test_held_fork();
    test_keyed();
    test_std_thread();
    test_local();
    test_early();
    test_unseen();
    test_quick();
    return slot_test_done();
}
