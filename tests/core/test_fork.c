// SPDX-License-Identifier: MIT
//
// Forks while other threads are inside the library, so that in the child locks are held by threads
// that it does not have. The child must get SUBI_FORKED for what it inherits, and can start anew.
// It makes no threads: the thread sanitizer forbids that after such a fork.
#include <poll.h>
#include <sys/wait.h>

#include "peek.h"

#define HAMMERS 3

static subi_channel *shared;
static subi_interp *interp;
static subi_notifier *notifier;  // its descriptor is readable
static subi_sync *mutex, *semaphore, *event, *condition, *barrier;
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

static void
each_sync(void (*call)(subi_sync *s))
{
    subi_sync *const syncs[] = {mutex, semaphore, event, condition, barrier};
    for (size_t k = 0; k < sizeof(syncs) / sizeof(*syncs); k++) {
        call(syncs[k]);
    }
}

// Acquires, waits and releases; the barrier is broken when nobody comes.
static void
hammer_syncs(int64_t who, int64_t deadline)
{
    subi_patience p = {.deadline = deadline};
    size_t index;
    if (subi_mutex_acquire(mutex, who, &p) == SUBI_OK) {
        subi_condition_wait(condition, who, &p);
        subi_condition_notify(condition, who, 1);
        subi_mutex_release(mutex, who);
    }
    if (subi_semaphore_acquire(semaphore, &p) == SUBI_OK) {
        subi_semaphore_release(semaphore, 1);
    }
    subi_event_assign(event, who % 2 == 0);
    subi_event_wait(event, &p);
    if (subi_barrier_wait(barrier, who, &p, &index) == SUBI_BROKEN) {
        subi_barrier_reset(barrier);
    }
}

// Holds each kind of lock in turn, and parks now and then.
static void *
hammer(void *unused)
{
    uint64_t random = (uint64_t)(uintptr_t)&random;
    each_sync(subi_sync_hold);
    while (!atomic_load(&stop)) {
        subi_channel *c;
        int64_t *ids;
        size_t count;
        subi_message m = subi_message_integer(1);
        int64_t deadline = tap_random(&random) % 2 ? SUBI_TRY : subi_now() + MS / 20;
        subi_channel_send(shared, (int64_t)(tap_random(&random) % 3), &m, deadline);
        subi_channel_recv(shared, (int64_t)(tap_random(&random) % 3), &m, deadline);
        hammer_syncs((int64_t)(tap_random(&random) % 3), deadline);
        must(subi_channel_new(1, &c) == SUBI_OK);
        subi_channel_drop(c);
        must(subi_interp_list(&ids, &count) == SUBI_OK);
        free(ids);
        subi_interp_drop(subi_interp_main());
    }
    each_sync(subi_sync_drop);
    return unused;
}

static void *
be_other_thread(void *begun)
{
    other_thread = subi_thread_self();
    subi_thread_hold(other_thread);
    pthread_barrier_wait(begun);
    pthread_barrier_wait(begun);
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
check_stale_syncs(void)
{
    subi_patience p = {.deadline = SUBI_FOREVER};
    subi_mutex_state mutex_looks;
    subi_barrier_state barrier_looks;
    subi_sync *none = NULL;
    size_t size;
    bool flag;
    child_must(subi_mutex_acquire(mutex, 1, &p) == SUBI_FORKED);
    child_must(subi_mutex_release(mutex, 1) == SUBI_FORKED);
    child_must(subi_mutex_reset(mutex) == SUBI_FORKED);
    child_must(subi_mutex_look(mutex, &mutex_looks) == SUBI_FORKED && mutex_looks.depth == 0);
    child_must(subi_semaphore_acquire(semaphore, &p) == SUBI_FORKED);
    child_must(subi_semaphore_release(semaphore, 1) == SUBI_FORKED);
    child_must(subi_semaphore_value(semaphore, &size) == SUBI_FORKED);
    child_must(subi_event_wait(event, &p) == SUBI_FORKED);
    child_must(subi_event_assign(event, true) == SUBI_FORKED);
    child_must(subi_event_look(event, &flag) == SUBI_FORKED);
    child_must(subi_condition_wait(condition, 1, &p) == SUBI_FORKED);
    child_must(subi_condition_notify(condition, 1, 1) == SUBI_FORKED);
    child_must(subi_condition_new(mutex, &none) == SUBI_FORKED && none == NULL);
    child_must(subi_barrier_wait(barrier, 1, &p, &size) == SUBI_FORKED);
    child_must(subi_barrier_release(barrier, 1) == SUBI_FORKED);
    child_must(subi_barrier_abort(barrier) == SUBI_FORKED);
    child_must(subi_barrier_reset(barrier) == SUBI_FORKED);
    child_must(subi_barrier_look(barrier, &barrier_looks) == SUBI_FORKED);
    each_sync(subi_sync_drop);
}

static void
check_new_syncs(void)
{
    subi_patience once = {.deadline = SUBI_TRY}, soon = {.deadline = subi_now() + MS};
    subi_sync *m, *c, *b;
    size_t index;
    int64_t before = subi_sync_id(mutex);
    child_must(subi_mutex_new(true, &m) == SUBI_OK && subi_condition_new(m, &c) == SUBI_OK);
    child_must(subi_sync_id(m) > before);
    child_must(subi_mutex_acquire(m, 1, &once) == SUBI_OK);
    child_must(subi_condition_wait(c, 1, &soon) == SUBI_TIMEOUT);
    child_must(subi_mutex_release(m, 1) == SUBI_OK);
    child_must(subi_barrier_new(1, false, &b) == SUBI_OK);
    child_must(subi_barrier_wait(b, 1, &once, &index) == SUBI_OK && index == 0);
    subi_sync_drop(b);
    subi_sync_drop(c);
    subi_sync_drop(m);
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
    check_new_syncs();
    check_stale_syncs();
    subi_notifier_clear(notifier);
    subi_notifiers_disturb(1);
    subi_notifier_drop(notifier);
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
    pthread_barrier_t begun;
    must(subi_channel_new(2, &shared) == SUBI_OK);
    must(subi_interp_new(SUBI_KIND_OWN, "parent", 0, &interp) == SUBI_OK);
    subi_interp_leave(interp);
    channel_id = subi_channel_id(shared);
    interp_id = subi_interp_id(interp);
    must(subi_notifier_new(1, &notifier) == SUBI_OK);
    subi_notifiers_disturb(1);
    must(subi_mutex_new(true, &mutex) == SUBI_OK);
    must(subi_semaphore_new(1, false, &semaphore) == SUBI_OK && subi_event_new(&event) == SUBI_OK);
    must(subi_condition_new(mutex, &condition) == SUBI_OK);
    must(subi_barrier_new(2, false, &barrier) == SUBI_OK);
    pthread_barrier_init(&begun, NULL, 2);
    t[HAMMERS] = tap_thread(be_other_thread, &begun);
    pthread_barrier_wait(&begun);

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
    pthread_barrier_wait(&begun);
    tap_join(t[HAMMERS]);
    struct pollfd readable = {.fd = subi_notifier_fd(notifier), .events = POLLIN};
    ok(poll(&readable, 1, 0) == 1, "the event loop's wake-up is still there");
    subi_notifier_drop(notifier);
    subi_thread_drop(other_thread);
    hammer_syncs(1, SUBI_TRY);
    each_sync(subi_sync_drop);
    subi_channel_drop(shared);
    subi_interp_drop(interp);
    return tap_done();
}
