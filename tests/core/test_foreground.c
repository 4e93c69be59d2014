// SPDX-License-Identifier: MIT
//
// The foreground: SIGINT interrupts the runs that it comes in, and no others.
#include <signal.h>
#include <string.h>

#include "tap.h"

#define MOST 64

static struct {
    subi_interp *interp;
    uint64_t run;
} calls[MOST];
static atomic_int count;     // atomic: of calls; written by the core's thread
static atomic_int handled;   // atomic: by the handler that the program had
static atomic_bool blocked;  // atomic: whether the core's thread is to be kept inside a call
static atomic_bool inside;   // atomic: it is

static void
interrupt(subi_interp *i, uint64_t run, uint32_t signals)
{
    must(signals <= subi_foreground_signals());
    int k = atomic_load(&count);
    must(k < MOST);
    calls[k].interp = i;
    calls[k].run = run;
    atomic_store(&count, k + 1);
    atomic_store(&inside, true);
    await(!atomic_load(&blocked));
    atomic_store(&inside, false);
}

static void
handle(int number)
{
    (void)number;
    atomic_fetch_add(&handled, 1);
}

static subi_interp *
new_interp(void)
{
    subi_interp *i;
    must(subi_interp_new(SUBI_KIND_OWN, "f", 0, &i) == SUBI_OK);
    subi_interp_leave(i);
    return i;
}

static void
drop(subi_interp *i)
{
    must(subi_interp_begin_close(i, SUBI_TRY) == SUBI_OK);
    subi_interp_end_close(i, true);
    subi_interp_drop(i);
}

static void
press(void)
{
    int before = atomic_load(&handled);
    must(raise(SIGINT) == 0);
    must(atomic_load(&handled) == before + 1);
}

// Whatever was pressed before has been looked at when an interruption that comes later is there.
static void
settle(void)
{
    subi_interp *i = new_interp();
    subi_foreground f;
    must(subi_foreground_enter(&f, i, UINT64_C(1) << 40, interrupt));
    press();
    await(atomic_load(&count) > 0 && calls[atomic_load(&count) - 1].run == UINT64_C(1) << 40 &&
          !atomic_load(&inside));
    subi_foreground_leave(&f);
    atomic_fetch_sub(&count, 1);
    drop(i);
}

static void
test_without_handler(void)
{
    subi_interp *i = new_interp();
    subi_foreground f;
    must(signal(SIGINT, SIG_DFL) != SIG_ERR);
    ok(!subi_foreground_enter(&f, i, 1, interrupt), "nobody handles SIGINT");
    must(signal(SIGINT, SIG_IGN) != SIG_ERR);
    ok(!subi_foreground_enter(&f, i, 1, interrupt), "or it is ignored");
    ok(!subi_foreground_is_busy(), "and there is nothing to leave");
    drop(i);
}

static void
test_one(void)
{
    subi_interp *i = new_interp();
    subi_foreground f;
    must(signal(SIGINT, handle) != SIG_ERR);
    ok(subi_foreground_enter(&f, i, 5, interrupt) && subi_foreground_is_busy(), "a run");
    ok(atomic_load(&count) == 0, "is not interrupted");
    press();
    await(atomic_load(&count) == 1);
    ok(calls[0].interp == i && calls[0].run == 5, "before SIGINT comes");
    press();
    await(atomic_load(&count) == 2);
    ok(calls[1].run == 5, "and again with each that comes");
    subi_foreground_leave(&f);
    ok(!subi_foreground_is_busy(), "then it is over");
    atomic_store(&count, 0);
    press();
    settle();
    ok(atomic_load(&count) == 0, "and is not interrupted any more");
    drop(i);
}

static void
test_nested(void)
{
    subi_interp *i = new_interp(), *k = new_interp();
    subi_foreground outer, inner;
    must(subi_foreground_enter(&outer, i, 1, interrupt));
    must(subi_foreground_enter(&inner, k, 2, NULL));
    press();
    await(atomic_load(&count) == 2);
    ok(calls[0].interp == k && calls[0].run == 2 && calls[1].interp == i && calls[1].run == 1,
       "of nested runs all are interrupted, the innermost first");
    subi_foreground_leave(&inner);
    atomic_store(&count, 0);
    press();
    await(atomic_load(&count) == 1);
    ok(calls[0].interp == i, "and the outer one alone when the inner one is over");
    subi_foreground_leave(&outer);
    atomic_store(&count, 0);
    drop(i);
    drop(k);
}

static void
test_stale(void)
{
    subi_interp *i = new_interp(), *k = new_interp();
    subi_foreground f, g;
    must(subi_foreground_enter(&f, i, 1, interrupt));
    atomic_store(&blocked, true);
    press();
    await(atomic_load(&inside));
    press();  // the core's thread does not see it yet
    subi_foreground_leave(&f);
    must(subi_foreground_enter(&g, k, 2, interrupt));
    atomic_store(&blocked, false);
    subi_foreground_leave(&g);
    settle();
    ok(atomic_load(&count) == 1 && calls[0].run == 1,
       "a SIGINT that came before a run does not interrupt it");
    must(subi_foreground_enter(&g, k, 2, interrupt));
    must(subi_foreground_enter(&f, i, 3, NULL));
    subi_foreground_leave(&f);
    press();
    must(subi_foreground_enter(&f, i, 4, NULL));
    await(atomic_load(&count) > 1 && calls[atomic_load(&count) - 1].run == 2);
    subi_foreground_leave(&f);
    subi_foreground_leave(&g);
    ok(calls[1].run == 4 || calls[1].run == 2,
       "one that came in the outermost run interrupts what it has begun since");
    atomic_store(&count, 0);
    drop(i);
    drop(k);
}

static void
test_another_handler(void)
{
    subi_interp *i = new_interp();
    subi_foreground f;
    bool all = true;
    for (int round = 0; round < 10; round++) {
        must(signal(SIGINT, handle) != SIG_ERR);  // which takes ours away
        must(subi_foreground_enter(&f, i, (uint64_t)round, interrupt));
        press();
        await(atomic_load(&count) == 1 && !atomic_load(&inside));
        all = all && calls[0].run == (uint64_t)round;
        atomic_store(&count, 0);
        subi_foreground_leave(&f);
    }
    ok(all, "a handler that was set later is called, too");
    drop(i);
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    test_without_handler();
    test_one();
    test_nested();
    test_stale();
    test_another_handler();
    return tap_done();
}
