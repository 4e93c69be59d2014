// SPDX-License-Identifier: MIT
//
// Locks, semaphores, events, conditions and barriers, one after the other; then what they have in
// common: owners that end, signals, the process's end.
#include <signal.h>

#include "sync.h"
#include "tap.h"

#define HERE 7  // an interpreter that nobody has made

static const subi_patience
try
    = {.deadline = SUBI_TRY}, forever = {.deadline = SUBI_FOREVER};

static size_t
waiting(subi_sync *s)
{
    size_t n = 0;
    subi__lock_acquire(&s->lock);
    for (subi__node *node = s->waiters.sentinel.next; node != &s->waiters.sentinel;
         node = node->next) {
        n++;
    }
    subi__lock_release(&s->lock);
    return n;
}

static subi_patience
until(int64_t ms)
{
    return (subi_patience){.deadline = subi_now() + ms * MS};
}

static subi_sync *
new_mutex(bool recursive)
{
    subi_sync *m;
    must(subi_mutex_new(recursive, &m) == SUBI_OK);
    return m;
}

// ---- a thread that does one thing -------------------------------------------------------------

typedef struct task {
    subi_result (*run)(struct task *t);
    subi_sync *s;
    int64_t interp;
    subi_patience p;
    size_t index;
    atomic_bool done;
    subi_result result;
    pthread_t thread;
} task;

static void *
run_task(void *arg)
{
    task *t = arg;
    t->result = t->run(t);
    atomic_store(&t->done, true);
    return NULL;
}

static void
begin(task *t, subi_result (*run)(task *), subi_sync *s)
{
    if (t->p.deadline == 0) {
        t->p = forever;
    }
    t->run = run;
    t->s = s;
    atomic_store(&t->done, false);
    t->thread = tap_thread(run_task, t);
}

static subi_result
end(task *t)
{
    await(atomic_load(&t->done));
    tap_join(t->thread);
    return t->result;
}

static subi_result
in_thread(subi_result (*run)(task *), subi_sync *s)
{
    task t = {.interp = HERE};
    begin(&t, run, s);
    return end(&t);
}

static subi_result
acquire(task *t)
{
    return subi_mutex_acquire(t->s, t->interp, &t->p);
}

static subi_result
acquire_and_release(task *t)
{
    subi_result r = acquire(t);
    must(r != SUBI_OK || subi_mutex_release(t->s, t->interp) == SUBI_OK);
    return r;
}

static subi_result
try_to_acquire(task *t)
{
    subi_result r = subi_mutex_acquire(t->s, t->interp, &try);
    must(r != SUBI_OK || subi_mutex_release(t->s, t->interp) == SUBI_OK);
    return r;
}

static subi_result
release(task *t)
{
    return subi_mutex_release(t->s, t->interp);
}

// ---- mutexes ----------------------------------------------------------------------------------

static void
test_lock(void)
{
    subi_sync *m = new_mutex(false), *other = new_mutex(false);
    subi_mutex_state state;
    ok(subi_sync_id(other) == subi_sync_id(m) + 1 && subi_sync_what(m) == SUBI_LOCK,
       "ids count up");
    ok(subi_mutex_release(m, HERE) == SUBI_NOT_OWNER, "a free lock cannot be released");
    ok(subi_mutex_acquire(m, HERE, &forever) == SUBI_OK, "a free lock is acquired");
    ok(subi_mutex_acquire(m, HERE, &try) == SUBI_BUSY, "not again, by its owner");
    subi_patience p = until(20);
    ok(subi_mutex_acquire(m, HERE, &p) == SUBI_TIMEOUT && subi_now() >= p.deadline,
       "nor when the time is over");
    must(subi_mutex_look(m, &state) == SUBI_OK);
    ok(state.depth == 1 && state.interp == HERE && state.thread == (uintptr_t)pthread_self() &&
           !state.owner_died,
       "it tells its owner");
    ok(in_thread(try_to_acquire, m) == SUBI_BUSY, "not by another thread");
    ok(in_thread(release, m) == SUBI_OK, "another thread can release it");
    ok(subi_mutex_reset(m) == SUBI_NOT_OWNER, "there is nothing to reset");
    ok(in_thread(try_to_acquire, m) == SUBI_OK, "it is free");
    must(subi_mutex_look(m, &state) == SUBI_OK);
    ok(state.depth == 0 && state.thread == 0, "and has no owner");
    must(subi_mutex_acquire(other, HERE, &try) == SUBI_OK);
    subi_sync_drop(other);
    subi_sync_drop(m);
}

static void
test_rlock(void)
{
    subi_sync *m = new_mutex(true);
    subi_mutex_state state;
    bool all = true;
    for (int i = 0; i < 3; i++) {
        all = all && subi_mutex_acquire(m, HERE, &try) == SUBI_OK;
    }
    must(subi_mutex_look(m, &state) == SUBI_OK);
    ok(all && state.depth == 3, "a recursive lock is acquired three times");
    ok(in_thread(release, m) == SUBI_NOT_OWNER, "another thread cannot release it");
    ok(subi_mutex_release(m, HERE + 1) == SUBI_NOT_OWNER, "nor another interpreter");
    ok(subi_mutex_acquire(m, HERE + 1, &try) == SUBI_BUSY, "which cannot acquire it either");
    for (int i = 0; i < 3; i++) {
        all = all && in_thread(try_to_acquire, m) == SUBI_BUSY;
        all = all && subi_mutex_release(m, HERE) == SUBI_OK;
    }
    ok(all && in_thread(try_to_acquire, m) == SUBI_OK, "three releases make it free");
    ok(subi_mutex_release(m, HERE) == SUBI_NOT_OWNER, "a fourth is refused");
    subi_sync_drop(m);
}

static atomic_bool may_end;

static subi_result
acquire_and_stay(task *t)
{
    subi_result r = acquire(t);
    await(atomic_load(&may_end));
    return r;
}

static void
test_hand_over(void)
{
    task t[3] = {{.interp = 1}, {.interp = 2}, {.interp = 3}};
    subi_sync *m = new_mutex(false);
    subi_mutex_state state;
    atomic_store(&may_end, false);
    must(subi_mutex_acquire(m, HERE, &try) == SUBI_OK);
    for (int i = 0; i < 3; i++) {
        begin(&t[i], acquire_and_stay, m);
        await(waiting(m) == (size_t)i + 1);
    }
    usleep(2000);  // they have waited long enough to be preferred
    bool in_order = true;
    for (int64_t i = 0; i < 3; i++) {
        must(subi_mutex_release(m, HERE) == SUBI_OK);
        subi_result r = subi_mutex_acquire(m, HERE, &try);
        must(subi_mutex_look(m, &state) == SUBI_OK);
        in_order = in_order && r == SUBI_BUSY && state.interp == i + 1;
    }
    must(subi_mutex_release(m, HERE) == SUBI_OK);
    atomic_store(&may_end, true);
    ok(in_order, "a lock goes to those who have waited, in their order");
    for (int i = 0; i < 3; i++) {
        in_order = end(&t[i]) == SUBI_OK && in_order;
    }
    ok(in_order && waiting(m) == 0, "and they all have had it");
    subi_sync_drop(m);
}

// One thread does nothing but take the lock; another one that wants it gets it all the same.
static atomic_bool hogging;

static subi_result
hog(task *t)
{
    while (atomic_load(&hogging)) {
        must(subi_mutex_acquire(t->s, t->interp, &forever) == SUBI_OK);
        must(subi_mutex_release(t->s, t->interp) == SUBI_OK);
    }
    return SUBI_OK;
}

static void
test_no_starvation(void)
{
    task t = {.interp = 1};
    subi_sync *m = new_mutex(false);
    atomic_store(&hogging, true);
    begin(&t, hog, m);
    bool all = true;
    for (int i = 0; i < 50; i++) {
        subi_patience p = until(20000);
        all = all && subi_mutex_acquire(m, HERE, &p) == SUBI_OK;
        usleep(100);
        all = all && subi_mutex_release(m, HERE) == SUBI_OK;
    }
    atomic_store(&hogging, false);
    ok(end(&t) == SUBI_OK && all, "a thread that takes a lock all the time starves nobody");
    subi_sync_drop(m);
}

// ---- owners that end --------------------------------------------------------------------------

static void
test_dead_thread(bool recursive)
{
    task owner = {.interp = HERE}, waiter = {.interp = HERE};
    subi_sync *m = new_mutex(recursive);
    subi_mutex_state state;
    atomic_store(&may_end, false);
    begin(&owner, acquire_and_stay, m);
    await(subi_mutex_look(m, &state) == SUBI_OK && state.depth == 1);
    begin(&waiter, acquire, m);
    await(waiting(m) == 1);
    atomic_store(&may_end, true);
    must(end(&owner) == SUBI_OK);
    ok(end(&waiter) == SUBI_OWNER_DIED, "who waits for a thread that ends gets to know");
    ok(subi_mutex_acquire(m, HERE, &forever) == SUBI_OWNER_DIED, "so does who comes later");
    ok(subi_mutex_release(m, HERE) == SUBI_OWNER_DIED, "it cannot be released");
    must(subi_mutex_look(m, &state) == SUBI_OK);
    ok(state.owner_died && state.depth == 0, "it says so");
    ok(subi_mutex_reset(m) == SUBI_OK && subi_mutex_reset(m) == SUBI_NOT_OWNER, "it can be reset");
    ok(in_thread(try_to_acquire, m) == SUBI_OK, "then it is as new");
    subi_sync_drop(m);
}

static void
test_released_by_another(void)
{
    task owner = {.interp = HERE};
    subi_sync *m = new_mutex(false);
    subi_mutex_state state;
    atomic_store(&may_end, false);
    begin(&owner, acquire_and_stay, m);
    await(subi_mutex_look(m, &state) == SUBI_OK && state.depth == 1);
    must(subi_mutex_release(m, HERE) == SUBI_OK);
    atomic_store(&may_end, true);
    must(end(&owner) == SUBI_OK);
    ok(in_thread(try_to_acquire, m) == SUBI_OK, "a thread that ends is no owner any more");
    subi_sync_drop(m);
}

static subi_interp *
new_interp(void)
{
    subi_interp *i;
    must(subi_interp_new(SUBI_KIND_OWN, NULL, 0, &i) == SUBI_OK && !subi_interp_leave(i));
    return i;
}

static void
close_interp(subi_interp *i)
{
    must(subi_interp_begin_close(i, SUBI_FOREVER) == SUBI_OK);
    subi_interp_end_close(i, true);
    subi_interp_drop(i);
}

static void
test_closed_interpreter(void)
{
    subi_sync *m = new_mutex(true), *mine = new_mutex(false);
    subi_interp *i = new_interp();
    task waiter = {.interp = HERE};
    must(subi_mutex_acquire(m, subi_interp_id(i), &try) == SUBI_OK);
    must(subi_mutex_acquire(mine, HERE, &try) == SUBI_OK);
    begin(&waiter, acquire, m);
    await(waiting(m) == 1);
    close_interp(i);
    ok(end(&waiter) == SUBI_OWNER_DIED, "who waits for an interpreter that closes gets to know");
    ok(subi_mutex_acquire(m, HERE, &try) == SUBI_OWNER_DIED, "so does who comes later");
    ok(subi_mutex_release(mine, HERE) == SUBI_OK, "what its thread has elsewhere stays");
    subi_sync_drop(m);
    subi_sync_drop(mine);
}

// ---- semaphores and events --------------------------------------------------------------------

static subi_result
take(task *t)
{
    return subi_semaphore_acquire(t->s, &t->p);
}

static void
test_semaphore(void)
{
    subi_sync *s, *b;
    task t[3] = {{.p = forever}, {.p = forever}, {.p = forever}};
    size_t value;
    must(subi_semaphore_new(2, false, &s) == SUBI_OK && subi_semaphore_new(2, true, &b) == SUBI_OK);
    ok(subi_semaphore_acquire(s, &forever) == SUBI_OK &&
           subi_semaphore_acquire(s, &try) == SUBI_OK &&
           subi_semaphore_acquire(s, &try) == SUBI_BUSY,
       "a semaphore of 2 is acquired twice");
    subi_patience p = until(20);
    ok(subi_semaphore_acquire(s, &p) == SUBI_TIMEOUT && subi_now() >= p.deadline, "in time");
    for (size_t i = 0; i < 3; i++) {
        begin(&t[i], take, s);
        await(waiting(s) == i + 1);
    }
    must(subi_semaphore_release(s, 1) == SUBI_OK);
    ok(end(&t[0]) == SUBI_OK && waiting(s) == 2, "one is released to the first of those who wait");
    must(subi_semaphore_release(s, 5) == SUBI_OK);
    ok(end(&t[1]) == SUBI_OK && end(&t[2]) == SUBI_OK &&
           subi_semaphore_value(s, &value) == SUBI_OK && value == 3,
       "of five, two to the others");
    ok(subi_semaphore_release(s, SIZE_MAX) == SUBI_FULL, "there is an end to it");
    ok(subi_semaphore_release(b, 1) == SUBI_FULL && subi_semaphore_acquire(b, &try) == SUBI_OK &&
           subi_semaphore_release(b, 2) == SUBI_FULL && subi_semaphore_release(b, 1) == SUBI_OK,
       "a bounded one has no more than at first");
    subi_sync_drop(s);
    subi_sync_drop(b);
}

static subi_result
wait_for_event(task *t)
{
    return subi_event_wait(t->s, &t->p);
}

static void
test_event(void)
{
    subi_sync *e;
    task t[4] = {{.p = forever}};
    bool flag;
    must(subi_event_new(&e) == SUBI_OK);
    subi_patience p = until(20);
    ok(subi_event_wait(e, &try) == SUBI_BUSY && subi_event_wait(e, &p) == SUBI_TIMEOUT &&
           subi_now() >= p.deadline,
       "an event is not set at first");
    for (size_t i = 0; i < 4; i++) {
        begin(&t[i], wait_for_event, e);
    }
    await(waiting(e) == 4);
    must(subi_event_assign(e, true) == SUBI_OK);
    bool all = true;
    for (size_t i = 0; i < 4; i++) {
        all = end(&t[i]) == SUBI_OK && all;
    }
    ok(all && subi_event_look(e, &flag) == SUBI_OK && flag, "all that wait see that it is set");
    ok(subi_event_wait(e, &try) == SUBI_OK && subi_event_wait(e, &forever) == SUBI_OK,
       "so do others");
    must(subi_event_assign(e, false) == SUBI_OK);
    ok(subi_event_wait(e, &try) == SUBI_BUSY, "until it is cleared");
    subi_sync_drop(e);
}

// ---- conditions -------------------------------------------------------------------------------

static subi_result
acquire_and_wait(task *t)
{
    subi_sync *m = subi_condition_mutex(t->s);
    must(subi_mutex_acquire(m, t->interp, &forever) == SUBI_OK);
    must(subi_sync_what(m) == SUBI_LOCK || subi_mutex_acquire(m, t->interp, &try) == SUBI_OK);
    subi_result r = subi_condition_wait(t->s, t->interp, &t->p);
    subi_mutex_state state;
    must(subi_mutex_look(m, &state) == SUBI_OK);
    if (state.depth == 0) {
        return r;
    }
    must(state.depth == (subi_sync_what(m) == SUBI_LOCK ? 1 : 2) && state.interp == t->interp);
    while (state.depth-- > 0) {
        must(subi_mutex_release(m, t->interp) == SUBI_OK);
    }
    return r;
}

static void
test_condition(bool recursive)
{
    subi_sync *m = new_mutex(recursive), *c;
    task t[4] = {{.interp = 1}, {.interp = 2}, {.interp = 3}, {.interp = 4}};
    must(subi_condition_new(m, &c) == SUBI_OK);
    subi_sync_drop(m);  // the condition has a reference
    ok(subi_condition_wait(c, HERE, &forever) == SUBI_NOT_OWNER &&
           subi_condition_notify(c, HERE, 1) == SUBI_NOT_OWNER,
       "a condition wants its lock");
    must(subi_mutex_acquire(m, HERE, &try) == SUBI_OK);
    subi_patience p = until(20);
    ok(subi_condition_wait(c, HERE, &p) == SUBI_TIMEOUT && subi_now() >= p.deadline &&
           subi_condition_wait(c, HERE, &try) == SUBI_TIMEOUT,
       "a wait may be too long");
    for (size_t i = 0; i < 4; i++) {
        must(subi_mutex_release(m, HERE) == SUBI_OK);
        begin(&t[i], acquire_and_wait, c);
        await(waiting(c) == i + 1);
        must(subi_mutex_acquire(m, HERE, &forever) == SUBI_OK);
    }
    must(subi_condition_notify(c, HERE, 1) == SUBI_OK);
    ok(waiting(c) == 3, "one of four is notified");
    usleep(5000);
    ok(!atomic_load(&t[0].done), "it goes on when the lock is free");
    must(subi_mutex_release(m, HERE) == SUBI_OK);
    ok(end(&t[0]) == SUBI_OK, "and that is the first");
    must(subi_mutex_acquire(m, HERE, &forever) == SUBI_OK);
    must(subi_condition_notify(c, HERE, SIZE_MAX) == SUBI_OK && waiting(c) == 0);
    must(subi_mutex_release(m, HERE) == SUBI_OK);
    ok(end(&t[1]) == SUBI_OK && end(&t[2]) == SUBI_OK && end(&t[3]) == SUBI_OK, "then the others");
    subi_sync_drop(c);
}

static void
test_condition_of_the_dead(void)
{
    subi_sync *m = new_mutex(true), *c;
    subi_interp *i = new_interp();
    task t = {.interp = HERE};
    must(subi_condition_new(m, &c) == SUBI_OK);
    begin(&t, acquire_and_wait, c);
    await(waiting(c) == 1);
    must(subi_mutex_acquire(m, subi_interp_id(i), &forever) == SUBI_OK);
    close_interp(i);
    ok(end(&t) == SUBI_OWNER_DIED, "who waits to be notified by the dead gets to know");
    ok(subi_condition_notify(c, HERE, 1) == SUBI_OWNER_DIED &&
           subi_condition_wait(c, HERE, &forever) == SUBI_OWNER_DIED,
       "so do others");
    subi_sync_drop(m);
    subi_sync_drop(c);
}

// ---- barriers ---------------------------------------------------------------------------------

static subi_result
meet(task *t)
{
    return subi_barrier_wait(t->s, t->interp, &t->p, &t->index);
}

static bool
looks(subi_sync *b, size_t count, bool broken)
{
    subi_barrier_state state;
    return subi_barrier_look(b, &state) == SUBI_OK && state.waiting == count &&
           state.broken == broken && state.parties == 3;
}

static subi_sync *
new_barrier(bool led)
{
    subi_sync *b;
    must(subi_barrier_new(3, led, &b) == SUBI_OK);
    return b;
}

// Two that wait, and for a third one.
static void
begin_two(task *t, subi_sync *b)
{
    for (size_t i = 0; i < 2; i++) {
        t[i] = (task){.interp = HERE};
        begin(&t[i], meet, b);
        await(waiting(b) == i + 1);
    }
}

static bool
end_two(task *t, subi_result result)
{
    bool first = end(&t[0]) == result;
    return end(&t[1]) == result && first;
}

static void
test_barrier(void)
{
    subi_sync *b = new_barrier(false), *none;
    task t[2];
    size_t index;
    ok(subi_barrier_new(0, false, &none) == SUBI_INVALID, "no barrier for nobody");
    for (int round = 0; round < 3; round++) {
        begin_two(t, b);
        must(looks(b, 2, false));
        subi_result r = subi_barrier_wait(b, HERE, &try, &index);
        ok(r == SUBI_OK && end_two(t, SUBI_OK) && t[0].index == 0 && t[1].index == 1 &&
               index == 2 && looks(b, 0, false),
           "three meet");
    }
    begin_two(t, b);
    must(subi_barrier_reset(b) == SUBI_OK);
    ok(end_two(t, SUBI_BROKEN) && looks(b, 0, false), "a reset makes those that wait fail");
    begin_two(t, b);
    must(subi_barrier_abort(b) == SUBI_OK);
    ok(end_two(t, SUBI_BROKEN) && looks(b, 0, true), "so does breaking it");
    ok(subi_barrier_wait(b, HERE, &forever, &index) == SUBI_BROKEN, "and all others");
    must(subi_barrier_reset(b) == SUBI_OK);
    t[0] = (task){.interp = HERE};
    begin(&t[0], meet, b);
    await(waiting(b) == 1);
    subi_patience p = until(20);
    ok(subi_barrier_wait(b, HERE, &p, &index) == SUBI_TIMEOUT && subi_now() >= p.deadline &&
           end(&t[0]) == SUBI_BROKEN && looks(b, 0, true),
       "who gives up breaks it");
    subi_sync_drop(b);
}

static subi_result
meet_and_lead(task *t)
{
    subi_result r = meet(t);
    return r == SUBI_OK && t->index == 2 ? subi_barrier_release(t->s, t->interp) : r;
}

static void
test_led_barrier(void)
{
    subi_sync *b = new_barrier(true);
    task t[2], more[4];
    size_t index;
    ok(subi_barrier_release(b, HERE) == SUBI_BROKEN, "at first nobody leads");
    begin_two(t, b);
    must(subi_barrier_wait(b, HERE, &forever, &index) == SUBI_OK && index == 2);
    for (size_t i = 0; i < 4; i++) {
        more[i] = (task){.interp = HERE};
        begin(&more[i], meet_and_lead, b);
        await(waiting(b) == 3 + i);
    }
    ok(!atomic_load(&t[0].done) && !atomic_load(&t[1].done) && looks(b, 0, false),
       "while one leads, the others wait");
    ok(subi_barrier_release(b, HERE) == SUBI_OK && end_two(t, SUBI_OK), "until it releases them");
    ok(end(&more[0]) == SUBI_OK && end(&more[1]) == SUBI_OK && end(&more[2]) == SUBI_OK &&
           more[2].index == 2 && looks(b, 1, false),
       "who came meanwhile are of the next round");
    must(subi_barrier_abort(b) == SUBI_OK);
    ok(end(&more[3]) == SUBI_BROKEN, "or of the one after that");
    must(subi_barrier_reset(b) == SUBI_OK);

    begin_two(t, b);
    must(subi_barrier_wait(b, HERE, &forever, &index) == SUBI_OK);
    must(subi_barrier_reset(b) == SUBI_OK);
    ok(end_two(t, SUBI_BROKEN) && subi_barrier_release(b, HERE) == SUBI_BROKEN,
       "a reset while one leads");
    begin_two(t, b);
    ok(in_thread(meet, b) == SUBI_OK && end_two(t, SUBI_BROKEN) && looks(b, 0, true),
       "a leader that ends breaks it");
    subi_sync_drop(b);
}

// ---- signals ----------------------------------------------------------------------------------

static atomic_int signals, answers;
static atomic_bool give_up;

static void
count_signal(int number)
{
    (void)number;
    atomic_fetch_add(&signals, 1);
}

static bool
answer(void *give_up_flag)
{
    atomic_fetch_add(&answers, 1);
    return !atomic_load((atomic_bool *)give_up_flag);
}

// Sends signals to a thread that waits until it has answered once more.
static void
interrupt(task *t)
{
    int before = atomic_load(&answers);
    int64_t until = subi_now() + PATIENCE;
    while (atomic_load(&answers) == before) {
        must(subi_now() < until);
        pthread_kill(t->thread, SIGUSR1);
        usleep(100);
    }
}

static task
impatient(void)
{
    return (task){.interp = HERE, .p = {SUBI_FOREVER, answer, &give_up}};
}

// Whatever it waits for: it keeps its place, and then gives up.
static void
test_signals(subi_sync *s, subi_result (*run)(task *), const char *name)
{
    task t = impatient();
    atomic_store(&give_up, false);
    begin(&t, run, s);
    await(waiting(s) == 1);
    interrupt(&t);
    bool kept = waiting(s) == 1 && !atomic_load(&t.done);
    atomic_store(&give_up, true);
    interrupt(&t);
    ok(end(&t) == SUBI_INTERRUPTED && kept && waiting(s) == 0, "a signal while waiting: %s", name);
}

static void
test_signals_without_function(void)
{
    subi_sync *e;
    task t = {.interp = HERE};
    must(subi_event_new(&e) == SUBI_OK);
    begin(&t, wait_for_event, e);
    await(waiting(e) == 1);
    while (!atomic_load(&t.done)) {
        pthread_kill(t.thread, SIGUSR1);
        usleep(100);
    }
    ok(end(&t) == SUBI_INTERRUPTED, "without a function for that it ends the wait");
    subi_sync_drop(e);
}

// It gives up in the moment in which it was given something.
static subi_sync *gift;

static bool
take_and_give_up(void *unused)
{
    (void)unused;
    if (subi_sync_what(gift) == SUBI_LOCK) {
        usleep(2000);
        must(subi_mutex_release(gift, HERE) == SUBI_OK);
    }
    else {
        must(subi_semaphore_release(gift, 1) == SUBI_OK);
    }
    return false;
}

static void
test_gift_given_back(subi_sync *s, subi_result (*run)(task *))
{
    task t = {.interp = HERE, .p = {SUBI_FOREVER, take_and_give_up, NULL}}, next = {.interp = HERE};
    gift = s;
    begin(&t, run, s);
    await(waiting(s) == 1);
    begin(&next, run, s);
    await(waiting(s) == 2);
    while (!atomic_load(&t.done)) {
        pthread_kill(t.thread, SIGUSR1);
        usleep(100);
    }
    ok(end(&t) == SUBI_INTERRUPTED && end(&next) == SUBI_OK, "what is not wanted goes to the next");
}

static void
test_all_signals(void)
{
    struct sigaction action = {.sa_handler = count_signal};
    subi_sync *m = new_mutex(false), *s, *e, *c, *b = new_barrier(false);
    subi_mutex_state state;
    sigaction(SIGUSR1, &action, NULL);
    must(subi_semaphore_new(0, false, &s) == SUBI_OK && subi_event_new(&e) == SUBI_OK);
    must(subi_condition_new(m, &c) == SUBI_OK);
    must(subi_mutex_acquire(m, HERE, &try) == SUBI_OK);
    test_signals(m, acquire, "a lock");
    must(subi_mutex_release(m, HERE) == SUBI_OK);
    test_signals(s, take, "a semaphore");
    test_signals(e, wait_for_event, "an event");
    test_signals(c, acquire_and_wait, "a condition");
    must(subi_mutex_look(m, &state) == SUBI_OK);
    ok(state.depth == 0, "which has acquired its lock again");
    test_signals(b, meet, "a barrier");
    ok(looks(b, 0, true), "which breaks");
    test_signals_without_function();
    must(subi_mutex_acquire(m, HERE, &try) == SUBI_OK);
    test_gift_given_back(m, acquire_and_release);
    test_gift_given_back(s, take);
    subi_sync_drop(c);
    subi_sync_drop(m);
    subi_sync_drop(s);
    subi_sync_drop(e);
    subi_sync_drop(b);
}

// ---- segments, and the end of the process -----------------------------------------------------

static void
test_segment(void)
{
    subi_sync *m = new_mutex(false);
    subi_block *block = subi_block_new(1);
    must(block != NULL && subi_block_attach(block, subi_sync_segment(m)) == SUBI_OK);
    subi_sync_drop(m);
    subi_sync *same = subi_block_segment(block, 0)->owner;
    ok(same == m && subi_mutex_acquire(same, HERE, &try) == SUBI_OK, "a message keeps a lock");
    subi_block_drop(block);
}

static void
test_shutdown(void)
{
    subi_sync *m = new_mutex(true), *s, *e, *c, *b = new_barrier(false);
    task t[5];
    must(subi_semaphore_new(0, false, &s) == SUBI_OK && subi_event_new(&e) == SUBI_OK);
    subi_sync *of_condition = new_mutex(false);
    must(subi_condition_new(of_condition, &c) == SUBI_OK);
    must(subi_mutex_acquire(m, HERE, &try) == SUBI_OK);
    struct {
        subi_result (*run)(task *);
        subi_sync *s;
    } waits[] = {{acquire, m}, {take, s}, {wait_for_event, e}, {acquire_and_wait, c}, {meet, b}};
    for (int i = 0; i < 5; i++) {
        t[i] = (task){.interp = HERE};
        begin(&t[i], waits[i].run, waits[i].s);
        await(waiting(waits[i].s) == 1);
    }
    subi_shutdown();
    for (int i = 0; i < 5; i++) {
        ok(end(&t[i]) == SUBI_CLOSED, "the process's end wakes who waits");
    }
    ok(in_thread(acquire, m) == SUBI_CLOSED && subi_event_wait(e, &forever) == SUBI_CLOSED,
       "and nobody waits any more");
    ok(in_thread(release, m) == SUBI_CLOSED, "who could not acquire has nothing to release");
    ok(subi_mutex_release(m, HERE) == SUBI_OK && in_thread(try_to_acquire, m) == SUBI_OK,
       "what does not wait goes on");
    for (int i = 0; i < 5; i++) {
        subi_sync_drop(waits[i].s);
    }
    subi_sync_drop(of_condition);
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    test_lock();
    test_rlock();
    test_hand_over();
    test_no_starvation();
    test_dead_thread(false);
    test_dead_thread(true);
    test_released_by_another();
    test_closed_interpreter();
    test_semaphore();
    test_event();
    test_condition(false);
    test_condition(true);
    test_condition_of_the_dead();
    test_barrier();
    test_led_barrier();
    test_all_signals();
    test_segment();
    test_shutdown();
    return tap_done();
}
