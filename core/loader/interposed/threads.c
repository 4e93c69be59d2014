// SPDX-License-Identifier: MIT
#include "threads.h"

#include <errno.h>
#include <stdlib.h>

#include "../elf_image.h"
#include "../load.h"
#include "keys.h"
#include "locals.h"
#include "platform.h"

#define PATIENCE INT64_C(100000000)  // ns: for threads that are just ending

// Functions of libraries that all share, with which a thread is started that is not seen here:
// std::thread as it was before GCC 6, C11's threads, timers that call a function.
static const char *const unseen[] = {"_ZNSt6thread15_M_start_threadESt10shared_ptr", "thrd_create",
                                     "timer_create", NULL};

typedef struct start {
    subi_slot *slot;
    void *(*run)(void *);
    void *arg;
} start;

static _Thread_local subi_slot *counted;  // where this thread is; NULL: nowhere

// ---- a thread ---------------------------------------------------------------------------------

void
subi__threads_enter(subi_slot *s)
{
    atomic_fetch_add(&s->threads, 1);
}

// The slot's memory may be gone, too, before this returns: only its address is used to wake.
void
subi__threads_leave(subi_slot *s)
{
    if (atomic_fetch_sub(&s->threads, 1) == 1) {
        subi__futex_wake(&s->threads, INT32_MAX);
    }
}

static void
end(void *slot)
{
    subi__locals_destroy(slot);
    subi__keys_destroy(slot);
    counted = NULL;
    subi__threads_leave(slot);
}

// This is no code of a copy, so it may go on when the copies are unmapped. The handler is called
// however the thread ends: pthread_exit, cancelled, or as here.
static void *
run_counted(void *arg)
{
    start s = *(start *)arg;
    void *result = NULL;
    free(arg);
    counted = s.slot;
    pthread_cleanup_push(end, s.slot);
    result = s.run(s.arg);
    pthread_cleanup_pop(1);
    return result;
}

// Whose code the thread is going to run; else who starts it; else, while constructors run and it cannot
// be told, whose thread starts it.
static subi_slot *
choose(const void *run, const void *caller)
{
    subi_slot *s = subi__slot_at(run, NULL);
    s = s != NULL ? s : subi__slot_of(caller, NULL);
    return s != NULL ? s : counted;
}

static int
create_counted(subi_slot *s, pthread_t *thread, const pthread_attr_t *attributes,
               void *(*run)(void *), void *arg)
{
    start *copy = malloc(sizeof(*copy));
    if (copy == NULL) {
        return EAGAIN;
    }
    *copy = (start){.slot = s, .run = run, .arg = arg};
    subi__threads_enter(s);
    int error = pthread_create(thread, attributes, run_counted, copy);
    if (error != 0) {
        subi__threads_leave(s);
        free(copy);
    }
    return error;
}

int
subi_slot_thread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                        void *arg, const void *caller)
{
    subi_slot *s = choose((const void *)(uintptr_t)run, caller);
    return s != NULL ? create_counted(s, thread, attributes, run, arg)
                     : pthread_create(thread, attributes, run, arg);
}

// ---- std::thread ------------------------------------------------------------------------------

// std::thread::_State of libstdc++, since GCC 6: what the thread runs, and then deletes.
struct subi_std_thread_state {
    const struct {
        void (*destroy)(struct subi_std_thread_state *);
        void (*delete)(struct subi_std_thread_state *);
        void (*run)(struct subi_std_thread_state *);
    } *functions;
};

static void
delete_state(void *arg)
{
    struct subi_std_thread_state *state = arg;
    state->functions->delete(state);
}

static void *
run_state(void *arg)
{
    struct subi_std_thread_state *state = arg;
    pthread_cleanup_push(delete_state, state);
    state->functions->run(state);
    pthread_cleanup_pop(1);
    return NULL;
}

bool
subi_slot_std_thread_start(pthread_t *thread, struct subi_std_thread_state *state)
{
    const void *run = (const void *)(uintptr_t)state->functions->run;
    subi_slot *s = choose(run, run);
    return s != NULL && create_counted(s, thread, NULL, run_state, state) == 0;
}

// ---- a slot -----------------------------------------------------------------------------------

void
subi__threads_expect(subi_slot *s, const subi__source *source)
{
    bool wants;
    const char *why;
    if (subi__elf_wants(source->bytes, source->size, unseen, &wants, &why) == SUBI_OK && wants) {
        atomic_store(&s->unseen_threads, true);
    }
}

bool
subi__threads_gone(subi_slot *s)
{
    return !atomic_load(&s->unseen_threads) && atomic_load(&s->threads) == 0;
}

bool
subi__threads_wait(subi_slot *s)
{
    int64_t deadline = subi_now() + PATIENCE;
    subi_result r = SUBI_OK;
    uint32_t n;
    if (atomic_load(&s->unseen_threads) || counted == s) {
        return false;
    }
    while ((n = atomic_load(&s->threads)) != 0 && r != SUBI_TIMEOUT) {
        r = subi__futex_wait(&s->threads, n, deadline);
    }
    return n == 0;
}

void
subi__threads_survived(subi_slot *s)
{
    atomic_store(&s->threads, s == counted ? 1 : 0);
}
