// SPDX-License-Identifier: MIT
//
// Handlers of signals in copies: none is left behind when its slot is closed.
#include <signal.h>

#include "slot_test.h"

#define SIGNAL SIGUSR1

// A slot whose extension has not put its handler there yet.
typedef struct user {
    subi_slot *slot;
    void *handle;
    struct sigaction old;
} user;

static user
open_user(void)
{
    user u = {.slot = open_slot()};
    u.handle = load(u.slot, extension);
    return u;
}

static void
install(user *u)
{
    int (*function)(int, struct sigaction *);
    as_function(dlsym(u->handle, "extension_install"), &function);
    must(function(SIGNAL, &u->old) == 0);
}

static void
restore(user *u)
{
    int (*function)(int, const struct sigaction *);
    as_function(dlsym(u->handle, "extension_restore"), &function);
    must(function(SIGNAL, &u->old) == 0);
}

static void *
handler(void)
{
    struct sigaction now;
    must(sigaction(SIGNAL, NULL, &now) == 0);
    return (void *)(uintptr_t)now.sa_handler;
}

static volatile sig_atomic_t handled;

static void
handle(int number)
{
    handled += number > 0;
}

static void
put(void (*function)(int))
{
    struct sigaction action = {.sa_handler = function};
    must(sigaction(SIGNAL, &action, NULL) == 0);
}

static bool
is_mine(void)
{
    sig_atomic_t before = handled;
    must(raise(SIGNAL) == 0);
    return handled == before + 1;
}

static void
test_one(void)
{
    user a = open_user();
    install(&a);
    must(raise(SIGNAL) == 0);
    ok(call(a.handle, "extension_handled") == 1 && subi_slot_close(a.slot, true) &&
           handler() == NULL,
       "a handler goes with its code");

    put(handle);
    a = open_user();
    install(&a);
    install(&a);
    must(raise(SIGNAL) == 0);
    ok(call(a.handle, "extension_handled") == 1 && subi_slot_close(a.slot, true) && is_mine(),
       "what was there before is put back");

    a = open_user();
    install(&a);
    restore(&a);
    ok(is_mine() && subi_slot_close(a.slot, true) && is_mine(), "one that was removed is not");

    int (*function)(int);
    a = open_user();
    as_function(dlsym(a.handle, "extension_signal"), &function);
    ok(function(SIGNAL) == 0 && raise(SIGNAL) == 0 && raise(SIGNAL) == 0 &&
           call(a.handle, "extension_handled") == 2 && function(1000) == 1 &&
           subi_slot_close(a.slot, true) && is_mine(),
       "the same with signal()");
    put(SIG_DFL);
}

static void
test_two(void)
{
    user a = open_user(), b = open_user();
    install(&a);
    install(&b);
    restore(&b);
    must(raise(SIGNAL) == 0);
    ok(call(a.handle, "extension_handled") == 1 && subi_slot_close(b.slot, true) &&
           subi_slot_close(a.slot, true) && handler() == NULL,
       "two in the right order");

    a = open_user(), b = open_user();
    install(&a);
    install(&b);
    restore(&a);
    ok(!subi_slot_close(a.slot, true), "in the wrong order: the first one stays");
    restore(&b);
    ok(handler() == NULL, "but is not put back");
    ok(subi_slot_close(b.slot, true), "the second one goes");
    put(SIG_DFL);

    a = open_user(), b = open_user();
    install(&a);
    install(&b);
    ok(!subi_slot_close(b.slot, true), "one that has replaced another one stays");
    ok(handler() == NULL, "but what was there before both is put back");
    ok(!subi_slot_close(a.slot, true), "so does the one that it may put back");
    put(SIG_DFL);
}

// A handler that calls the one before puts that back for a moment.
static void
test_chain(void)
{
    user a = open_user(), b = open_user();
    install(&a);
    install(&b);
    restore(&b);
    struct sigaction old = b.old;
    install(&b);
    b.old = old;
    ok(!subi_slot_close(a.slot, true), "one that was put back for a moment stays");
    restore(&b);
    ok(handler() == NULL && subi_slot_close(b.slot, true), "but is not put back any more");
}

static void
test_program(void)
{
    struct sigaction mine = {.sa_handler = handle}, old;
    user a = open_user();
    install(&a);
    must(sigaction(SIGNAL, &mine, &old) == 0);
    ok(!subi_slot_close(a.slot, true), "one that the program has replaced stays");
    must(sigaction(SIGNAL, &old, NULL) == 0 && raise(SIGNAL) == 0);
    ok(call(a.handle, "extension_handled") == 1, "and is called when it is put back");
    put(SIG_DFL);

    a = open_user();
    install(&a);
    must(sigaction(SIGNAL, &mine, &old) == 0 && sigaction(SIGNAL, &old, NULL) == 0);
    ok(subi_slot_close(a.slot, true) && handler() == NULL, "one that is back again goes");

    a = open_user();
    install(&a);
    must(sigaction(SIGNAL, NULL, &old) == 0 && sigaction(SIGUSR2, &old, NULL) == 0);
    ok(!subi_slot_close(a.slot, true), "one that others have put elsewhere stays");
    must(signal(SIGUSR2, SIG_DFL) != SIG_ERR);
    put(SIG_DFL);
}

int
main(int argc, char **argv)
{
    slot_test_start(argc, argv);
    test_one();
    test_two();
    test_chain();
    test_program();
    return slot_test_done();
}
