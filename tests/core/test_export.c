// SPDX-License-Identifier: MIT
//
// Exports of interpreters that are played: a thread is attached to the one that `here` says.
#include <string.h>
#include <sys/wait.h>

#include "tap.h"

static _Thread_local subi_interp *here;

typedef struct lent {
    subi_interp *owner;
    _Atomic int *released;
} lent;

static atomic_int visits, failing_visits;
static subi_export *volatile left_over[2];  // so that the leak sanitizer finds them
static atomic_bool gil;                     // of all of them: visitors wait for it

static void
attach(subi_interp *i)
{
    while (atomic_exchange(&gil, true)) {
        sched_yield();
    }
    here = i;
}

static void
detach(void)
{
    here = NULL;
    atomic_store(&gil, false);
}

static bool
is_attached(void *data)
{
    return here == ((lent *)data)->owner;
}

static void
release(void *data)
{
    must(is_attached(data));
    atomic_fetch_add(((lent *)data)->released, 1);
}

static bool
visit(void *data, subi_export *returned)
{
    must(here == NULL);
    if (atomic_load(&failing_visits) > 0) {
        atomic_fetch_sub(&failing_visits, 1);
        return false;
    }
    attach(((lent *)data)->owner);
    subi_exports_release(returned);
    detach();
    atomic_fetch_add(&visits, 1);
    return true;
}

static const subi_export_calls calls = {is_attached, release, visit};

static subi_interp *
new_interp(void)
{
    subi_interp *i;
    must(subi_interp_new(SUBI_KIND_OWN, NULL, 0, &i) == SUBI_OK);
    must(!subi_interp_leave(i));
    return i;
}

static subi_export *
lend(subi_interp *owner, _Atomic int *released)
{
    subi_export *e;
    must(subi_export_new(owner, &calls, sizeof(lent), &e) == SUBI_OK);
    *(lent *)subi_export_data(e) = (lent){owner, released};
    return e;
}

static void *
drop(void *e)
{
    subi_export_drop(e);
    return NULL;
}

static void
drop_elsewhere(subi_export *e)
{
    tap_join(tap_thread(drop, e));
}

static void
close_interp(subi_interp *i)
{
    must(subi_interp_begin_close(i, SUBI_FOREVER) == SUBI_OK);
    subi_interp_end_close(i, true);
    subi_interp_drop(i);
}

// ---- releasing --------------------------------------------------------------------------------

static void
test_by_the_owner(void)
{
    atomic_int n = 0;
    subi_interp *i = new_interp();
    attach(i);
    subi_export *e = lend(i, &n);
    subi_export_hold(e);
    subi_export_drop(e);
    ok(atomic_load(&n) == 0 && subi_exports_count(i) == 1, "a reference keeps it");
    subi_export_drop(e);
    ok(atomic_load(&n) == 1 && subi_exports_count(i) == 0,
       "the owner's last drop releases at once");
    must(subi_interp_begin_close(i, SUBI_TRY) == SUBI_OK);  // so that the reaper does not come
    drop_elsewhere(lend(i, &n));
    subi_exports_drain(i);
    ok(atomic_load(&n) == 2 && subi_exports_count(i) == 0, "what came back is released by a drain");
    detach();
    subi_interp_end_close(i, true);
    subi_interp_drop(i);
}

static void
test_by_the_reaper(void)
{
    atomic_int n = 0;
    subi_interp *i = new_interp();
    drop_elsewhere(lend(i, &n));
    await(atomic_load(&n) == 1);
    ok(true, "an idle owner is visited");
    must(subi_interp_enter(i, SUBI_TRY) == SUBI_OK);
    for (int k = 0; k < 100; k++) {
        drop_elsewhere(lend(i, &n));
    }
    await(atomic_load(&n) == 101);
    ok(atomic_load(&visits) < 101, "so is one that runs, and not for each: %d",
       atomic_load(&visits));
    must(!subi_interp_leave(i));
    atomic_store(&failing_visits, 1);
    drop_elsewhere(lend(i, &n));
    await(atomic_load(&failing_visits) == 0);
    drop_elsewhere(lend(i, &n));
    await(atomic_load(&n) == 103);
    ok(true, "after a visit that failed the next one does its work, too");
    close_interp(i);
}

static void
test_message(void)
{
    atomic_int n = 0;
    int memory[4];
    subi_interp *i = new_interp();
    subi_export *e = lend(i, &n);
    subi_block *b = subi_block_new(1);
    must(subi_block_attach(b, subi_export_segment(e, memory, sizeof(memory))) == SUBI_OK);
    const subi_segment *s = subi_block_segment(b, 0);
    ok(s->data == memory && s->size == sizeof(memory) && s->owner == e, "a segment says where");
    subi_export_drop(e);
    ok(subi_exports_count(i) == 1, "a message keeps it");
    subi_block_drop(b);
    await(atomic_load(&n) == 1);
    ok(true, "and gives it back");
    close_interp(i);
}

// ---- closing ----------------------------------------------------------------------------------

static void
test_closing(void)
{
    atomic_int n = 0;
    subi_interp *i = new_interp();
    must(subi_interp_begin_close(i, SUBI_TRY) == SUBI_OK);
    drop_elsewhere(lend(i, &n));
    int64_t until = subi_now() + 20 * MS;
    while (subi_now() < until) {
        must(atomic_load(&n) == 0);
    }
    ok(true, "one that is closing is not visited");
    subi_interp_end_close(i, false);
    await(atomic_load(&n) == 1);
    ok(true, "but when it stays open");
    subi_export *e = lend(i, &n);
    subi_exports_end(i);
    subi_export *refused = NULL;
    ok(subi_export_new(i, &calls, 1, &refused) == SUBI_CLOSED && refused == NULL,
       "at its end it can export no more");
    left_over[0] = e;
    subi_export_drop(e);
    ok(atomic_load(&n) == 1, "and what is left is never released");
    close_interp(i);
}

static atomic_int endings, abandoned;

static bool
end(subi_interp *i, void *data)
{
    must(here == NULL && subi_interp_state(i) == SUBI_STATE_CLOSED);
    attach(i);
    subi_exports_drain(i);
    detach();
    bool done = subi_exports_count(i) == 0;
    atomic_fetch_add((atomic_int *)data, done);
    return done;
}

static void
abandon(subi_interp *i, void *data)
{
    must(subi_exports_count(i) > 0 && data == &endings);
    atomic_fetch_add(&abandoned, 1);
}

// The caller has a reference left.
static subi_interp *
new_lingering(subi_export **a, subi_export **b, _Atomic int *released)
{
    subi_interp *i = new_interp();
    *a = lend(i, released);
    *b = lend(i, released);
    subi_interp_hold(i);
    must(subi_interp_begin_close(i, SUBI_TRY) == SUBI_OK);
    subi_interp_linger(i, end, &endings);
    return i;
}

static void
test_lingering(void)
{
    atomic_int n = 0;
    subi_export *a, *b;
    subi_interp *i = new_lingering(&a, &b, &n);
    ok(subi_interp_state(i) == SUBI_STATE_CLOSED && subi_interp_enter(i, SUBI_TRY) == SUBI_CLOSED &&
           subi_running() == 0,
       "one that lingers is closed");
    drop_elsewhere(a);
    await(atomic_load(&n) == 1);
    ok(atomic_load(&endings) == 0, "it goes on as long as it has exports");
    drop_elsewhere(b);
    await(atomic_load(&endings) == 1);
    ok(atomic_load(&n) == 2, "and then ends");
    subi_interp_drop(i);
}

// Returns and closings at the same time: nothing gets lost.
static void
test_lingering_races(void)
{
    atomic_int n = 0;
    int rounds = 400 / TAP_SLOW;
    atomic_store(&endings, 0);
    for (int k = 0; k < rounds; k++) {
        subi_interp *i = new_interp();
        subi_export *e = lend(i, &n);
        subi_interp_hold(i);
        must(subi_interp_begin_close(i, SUBI_FOREVER) == SUBI_OK);
        pthread_t t = tap_thread(drop, e);
        subi_interp_linger(i, end, &endings);
        tap_join(t);
        subi_interp_drop(i);
    }
    await(atomic_load(&endings) == rounds);
    ok(atomic_load(&n) == rounds, "all that lingered have ended: %d", rounds);
}

// ---- many threads -----------------------------------------------------------------------------

static subi_channel *channel;

static void *
receive_and_drop(void *unused)
{
    subi_message m;
    while (subi_channel_recv(channel, SUBI_NOBODY, &m, SUBI_FOREVER) == SUBI_OK) {
        subi_message_fini(&m);
    }
    return unused;
}

static void
send_export(subi_interp *i, _Atomic int *released)
{
    attach(i);
    subi_exports_drain(i);
    subi_export *e = lend(i, released);
    subi_block *b = subi_block_new(1);
    must(subi_block_attach(b, subi_export_segment(e, NULL, 0)) == SUBI_OK);
    subi_export_drop(e);
    detach();
    subi_message m = subi_message_block(b);
    must(subi_channel_send(channel, SUBI_NOBODY, &m, SUBI_FOREVER) == SUBI_OK);
}

static void
test_threads(void)
{
    atomic_int n = 0;
    int rounds = 20000 / TAP_SLOW;
    pthread_t t[3];
    subi_interp *i = new_interp(), *other = new_interp();
    must(subi_channel_new(16, &channel) == SUBI_OK);
    for (int k = 0; k < 3; k++) {
        t[k] = tap_thread(receive_and_drop, NULL);
    }
    for (int k = 0; k < rounds; k++) {
        send_export(k % 3 == 0 ? other : i, &n);
    }
    must(subi_channel_close(channel, SUBI_SEND, false) == SUBI_OK);
    for (int k = 0; k < 3; k++) {
        tap_join(t[k]);
    }
    await(subi_exports_count(i) == 0 && subi_exports_count(other) == 0);
    ok(atomic_load(&n) == rounds, "each comes back once");
    subi_channel_drop(channel);
    close_interp(i);
    close_interp(other);
}

// ---- forks and the end ------------------------------------------------------------------------

static void
child(subi_interp *i, subi_export *e)
{
    atomic_int n = 0;
    subi_export *refused;
    alarm(10);
    subi_export_drop(e);
    must(subi_export_new(i, &calls, 1, &refused) == SUBI_FORKED);
    subi_exports_drain(i);
    subi_interp *mine = new_interp();
    here = mine;
    subi_export_drop(lend(mine, &n));
    must(atomic_load(&n) == 1 && subi_reaper_stop(SUBI_TRY) == SUBI_OK);
    subi_lingering_end(abandon);
    _exit(atomic_load(&abandoned));
}

static void
test_fork(void)
{
    atomic_int n = 0;
    int status;
    subi_export *a, *b;
    subi_interp *lingers = new_lingering(&a, &b, &n);
    subi_interp *i = new_interp();
    subi_export *e = lend(i, &n);
    pid_t pid = fork();
    if (pid == 0) {
        child(i, e);
    }
    must(waitpid(pid, &status, 0) == pid);
    ok(status == 0, "in the child of a fork exports stay where they are, and new ones work");
    subi_export_drop(e);
    subi_export_drop(a);
    subi_export_drop(b);
    await(atomic_load(&n) == 3);
    ok(true, "the parent notices nothing");
    subi_interp_drop(lingers);
    close_interp(i);
}

static void
test_end(void)
{
    subi_export *a, *b, *c, *d;
    atomic_int n = 0;
    atomic_store(&endings, 0);
    subi_interp *kept = new_lingering(&a, &b, &n);
    subi_interp *gone = new_lingering(&c, &d, &n);
    ok(subi_reaper_stop(subi_now() + PATIENCE) == SUBI_OK, "the reaper ends");
    subi_export_drop(a);
    subi_export_drop(c);
    subi_export_drop(d);
    must(atomic_load(&n) == 0);
    subi_lingering_end(abandon);
    ok(atomic_load(&endings) == 1 && atomic_load(&n) == 3, "then what can be ended is");
    ok(atomic_load(&abandoned) == 1, "and what is in use is left alone");
    left_over[1] = b;
    subi_export_drop(b);
    ok(atomic_load(&n) == 3, "for good");
    ok(subi_reaper_stop(SUBI_TRY) == SUBI_OK, "it can be stopped again");
    subi_interp_drop(kept);
    subi_interp_drop(gone);
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    test_by_the_owner();
    test_by_the_reaper();
    test_message();
    test_closing();
    test_lingering();
    test_lingering_races();
    test_threads();
    test_fork();
    test_end();
    return tap_done();
}
