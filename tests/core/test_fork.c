// SPDX-License-Identifier: MIT
//
// Forks while other threads are inside the library, so that in the child locks are held by threads
// that it does not have. The child must get SUBI_FORKED for what it inherits, and can start anew.
// It makes no threads: the thread sanitizer forbids that after such a fork.
#include <sys/wait.h>

#include "peek.h"

#define HAMMERS 3

static subi_channel *shared;
static subi_interp *interp;
static subi_thread *other_thread;
static atomic_bool stop;
static int64_t channel_id, interp_id;

#define child_must(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("# child: line %d: %s\n", __LINE__, #condition);                                \
            fflush(stdout);                                                                        \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

// Holds each kind of lock in turn, and parks now and then.
static void *
hammer(void *unused)
{
    uint64_t random = (uint64_t)(uintptr_t)&random;
    while (!atomic_load(&stop)) {
        subi_channel *c;
        int64_t *ids;
        size_t count;
        subi_message m = subi_message_integer(1);
        int64_t deadline = tap_random(&random) % 2 ? SUBI_TRY : subi_now() + MS / 20;
        subi_channel_send(shared, (int64_t)(tap_random(&random) % 3), &m, deadline);
        subi_channel_recv(shared, (int64_t)(tap_random(&random) % 3), &m, deadline);
        must(subi_channel_new(1, &c) == SUBI_OK);
        subi_channel_drop(c);
        must(subi_interp_list(&ids, &count) == SUBI_OK);
        free(ids);
        subi_interp_drop(subi_interp_main());
    }
    return unused;
}

static void *
be_other_thread(void *barrier)
{
    other_thread = subi_thread_self();
    subi_thread_hold(other_thread);
    pthread_barrier_wait(barrier);
    pthread_barrier_wait(barrier);
    return NULL;
}

static void
check_stale_channel(subi_channel *c)
{
    subi_message m = subi_message_integer(1);
    subi_case k = {c, SUBI_RECV, &m};
    size_t chosen, count;
    int64_t *ids;
    child_must(subi_channel_send(c, 1, &m, SUBI_FOREVER) == SUBI_FORKED);
    child_must(subi_channel_recv(c, 1, &m, SUBI_FOREVER) == SUBI_FORKED);
    child_must(subi_select(&k, 1, 1, SUBI_FOREVER, &chosen) == SUBI_FORKED);
    child_must(subi_channel_close(c, SUBI_BOTH, true) == SUBI_FORKED);
    child_must(subi_channel_release(c, 1, SUBI_BOTH) == SUBI_FORKED);
    child_must(subi_channel_users(c, SUBI_SEND, &ids, &count) == SUBI_FORKED);
    child_must(!subi_channel_listed(c) && subi_channel_unlist(c) == SUBI_NOT_FOUND);
    child_must(subi_channel_is_closed(c, SUBI_RECV) && subi_channel_count(c) == 0);
    subi_channel_hold_end(c, SUBI_SEND);
    subi_channel_drop_end(c, SUBI_SEND);
    child_must(subi_channel_lookup(channel_id) == NULL);
    subi_channel_drop(c);
}

static void
check_new_channel(void)
{
    subi_channel *c;
    subi_message m = subi_message_integer(5);
    size_t count;
    int64_t *ids;
    child_must(subi_channel_new(SUBI_RENDEZVOUS, &c) == SUBI_OK);
    child_must(subi_channel_send(c, 1, &m, subi_now() + MS) == SUBI_TIMEOUT);
    child_must(subi_channel_list(&ids, &count) == SUBI_OK && count == 1);
    child_must(ids[0] > channel_id);  // the parent's ids find nothing, now or later
    free(ids);
    subi_channel_drop(c);
    child_must(subi_channel_new(1, &c) == SUBI_OK);
    child_must(subi_channel_send(c, 1, &m, SUBI_FOREVER) == SUBI_OK);
    child_must(subi_channel_recv(c, 1, &m, SUBI_FOREVER) == SUBI_OK && m.u.integer == 5);
    subi_channel_drop(c);
}

static void
check_interps(void)
{
    child_must(subi_interp_stale(interp) && subi_interp_enter(interp, SUBI_TRY) == SUBI_FORKED);
    child_must(subi_interp_begin_close(interp, SUBI_FOREVER) == SUBI_FORKED);
    child_must(subi_interp_state(interp) == SUBI_STATE_CLOSED && !subi_interp_leave(interp));
    subi_interp_hold_user(interp);
    child_must(!subi_interp_drop_user(interp) && subi_interp_lookup(interp_id) == NULL);
    subi_interp_drop(interp);

    subi_interp *m = subi_interp_main(), *i;
    child_must(m != NULL && subi_interp_id(m) == 0 && !subi_interp_stale(m));
    subi_interp_drop(m);
    child_must(subi_interp_new(SUBI_KIND_OWN, "child", 0, &i) == SUBI_OK);
    child_must(subi_interp_id(i) > interp_id && subi_interp_lookup(interp_id) == NULL);
    child_must(!subi_interp_leave(i) && subi_interp_enter(i, SUBI_TRY) == SUBI_OK &&
               !subi_interp_leave(i));
    child_must(subi_interp_begin_close(i, SUBI_FOREVER) == SUBI_OK);
    subi_interp_end_close(i, true);
    subi_interp_drop(i);
}

static void
child(subi_thread *mine, uint32_t generation)
{
    child_must(subi_generation() == generation + 1);
    check_stale_channel(shared);
    check_new_channel();
    check_interps();
    child_must(subi_thread_self() == mine && subi_thread_alive(mine));
    child_must(!subi_thread_alive(other_thread));
    pid_t grandchild = fork();
    if (grandchild == 0) {
        child_must(subi_generation() == generation + 2 && subi_thread_alive(mine));
        check_new_channel();
        _exit(0);
    }
    int status;
    child_must(waitpid(grandchild, &status, 0) == grandchild && status == 0);
    subi_shutdown();
    _exit(0);
}

// A hung child is killed, and counts as a failure.
static bool
child_succeeds(void)
{
    int status = -1;
    subi_thread *mine = subi_thread_self();
    uint32_t generation = subi_generation();
    pid_t pid = fork();
    if (pid == 0) {
        alarm(10);
        child(mine, generation);
    }
    must(waitpid(pid, &status, 0) == pid);
    return status == 0;
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    pthread_t t[HAMMERS + 1];
    pthread_barrier_t barrier;
    must(subi_channel_new(2, &shared) == SUBI_OK);
    must(subi_interp_new(SUBI_KIND_OWN, "parent", 0, &interp) == SUBI_OK);
    subi_interp_leave(interp);
    channel_id = subi_channel_id(shared);
    interp_id = subi_interp_id(interp);
    pthread_barrier_init(&barrier, NULL, 2);
    t[HAMMERS] = tap_thread(be_other_thread, &barrier);
    pthread_barrier_wait(&barrier);

    ok(child_succeeds(), "a quiet fork");
    for (int i = 0; i < HAMMERS; i++) {
        t[i] = tap_thread(hammer, NULL);
    }
    int good = 0, forks = TAP_SLOW > 1 ? 30 : 300;
    for (int i = 0; i < forks; i++) {
        channel_id = subi_channel_id(shared);
        good += child_succeeds();
    }
    ok(good >= forks - TAP_MAY_HANG(forks), "%d of %d forks while other threads hold locks", good,
       forks);
    atomic_store(&stop, true);
    for (int i = 0; i < HAMMERS; i++) {
        tap_join(t[i]);
    }
    ok(subi_thread_alive(other_thread) && subi_generation() == 0, "the parent is untouched");
    pthread_barrier_wait(&barrier);
    tap_join(t[HAMMERS]);
    subi_thread_drop(other_thread);
    subi_channel_drop(shared);
    subi_interp_drop(interp);
    return tap_done();
}
