// SPDX-License-Identifier: MIT
//
// A library that calls Python and starts threads, for test_slot_threads.c: some in its constructor.
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdlib.h>

#include "slot_std_thread.h"

int Py_Count(void);
int plain_count(void);

int threads_early(void);
int threads_held(void);
int threads_start(void);
void threads_go(void);
int threads_join(void);
int threads_quick(int how);
int threads_too_big(void);
int threads_apart(int (*run)(void));
int threads_keyed(void);
int threads_std(int held);
int threads_local(void);
int threads_local_apart(void);

static pthread_t held;
static sem_t in, go;
static int early = -1;

// Some time in code of the copy, after the thread has said what it had to.
static int
linger(void)
{
    int volatile n = 0;
    while (n < 300000) {
        n++;
    }
    return n;
}

static void *
hold(void *unused)
{
    sem_post(&in);
    while (sem_wait(&go) != 0) {
    }
    linger();
    Py_Count();
    return unused;
}

static int
start_held(void)
{
    int error = pthread_create(&held, NULL, hold, NULL);
    while (error == 0 && sem_wait(&in) != 0) {
    }
    return error;
}

static void *
start_another(void *unused)
{
    early = start_held();
    return unused;
}

// The dynamic linker holds its lock now.
__attribute__((constructor)) static void
start_early(void)
{
    pthread_t t;
    sem_init(&in, 0, 0);
    sem_init(&go, 0, 0);
    if (pthread_create(&t, NULL, start_another, NULL) == 0) {
        pthread_join(t, NULL);
    }
}

// 0: the constructor has started a thread, which has started one that is here, like that of
// threads_start, until threads_go.
int
threads_early(void)
{
    return early;
}

int
threads_start(void)
{
    return start_held();
}

void
threads_go(void)
{
    sem_post(&go);
}

int
threads_join(void)
{
    return pthread_join(held, NULL);
}

static void
note(void *unused)
{
    (void)unused;
    plain_count();
    linger();
}

static void *
run_quick(void *how)
{
    pthread_cleanup_push(note, NULL);
    if (how == &in) {
        pthread_exit(NULL);
    }
    while (how == &go) {
        sem_wait(&go);  // a cancellation point
    }
    pthread_cleanup_pop(1);
    return NULL;
}

// A thread that counts in the library that all share, and then ends: 0 it returns, 1 it exits, 2 it
// is cancelled.
int
threads_quick(int how)
{
    void *const ways[] = {NULL, &in, &go};
    pthread_t t;
    int error = pthread_create(&t, NULL, run_quick, ways[how]);
    if (error == 0 && how == 2) {
        error = pthread_cancel(t);
    }
    return error != 0 ? error : pthread_detach(t);
}

int
threads_too_big(void)
{
    pthread_attr_t attributes;
    pthread_t t;
    int error = pthread_attr_init(&attributes);
    if (error == 0) {
        error = pthread_attr_setstacksize(&attributes, (size_t)1 << 46);
        error = error == 0 ? pthread_create(&t, &attributes, hold, NULL) : -1;
        pthread_attr_destroy(&attributes);
    }
    return error;
}

static pthread_key_t first_key, second_key;

// Once more, as those do that need another key in their destructor.
static void
destroy(void *value)
{
    plain_count();
    if (value == &in) {
        pthread_setspecific(second_key, &go);
    }
}

static void *
use_keys(void *exits)
{
    pthread_setspecific(first_key, &in);
    if (exits != NULL) {
        pthread_exit(NULL);
    }
    return NULL;
}

// Two threads that have something in keys, which count in the library that all share when it is
// destroyed; and one that has something in a key that was deleted.
int
threads_keyed(void)
{
    int error = pthread_key_create(&first_key, destroy);
    error = error != 0 ? error : pthread_key_create(&second_key, destroy);
    for (int i = 0; i < 3 && error == 0; i++) {
        pthread_t t;
        if (i == 2) {
            error = pthread_key_delete(first_key);
        }
        error = error != 0 ? error : pthread_create(&t, NULL, use_keys, i == 0 ? &in : NULL);
        error = error != 0 ? error : pthread_join(t, NULL);
    }
    return error;
}

typedef struct state {
    std_state base;
    int held;
} state;

static void
delete_state(std_state *s)
{
    plain_count();
    free(s);
}

static void
run_state(std_state *s)
{
    plain_count();
    if (((state *)s)->held) {
        hold(NULL);
    }
}

static const std_functions state_functions = {NULL, delete_state, run_state};

// A std::thread, which counts twice in the library that all share; held: until threads_go.
int
threads_std(int wait)
{
    state *new = malloc(sizeof(*new));
    if (new == NULL) {
        return -1;
    }
    *new = (state){{&state_functions}, wait};
    std_state *s = &new->base;
    start_std_thread(&held, &s, NULL);
    if (wait) {
        while (sem_wait(&in) != 0) {
        }
        return s != NULL;
    }
    return s != NULL ? -1 : pthread_join(held, NULL);
}

int __cxa_thread_atexit(void (*function)(void *), void *object, void *address)
    __attribute__((weak));

static void
destroy_local(void *object)
{
    plain_count();
    if (object == &in) {
        threads_local();
    }
}

// This thread gets an object, and once more one when that is destroyed: both count in the library that
// all share.
int
threads_local(void)
{
    static int again;
    return __cxa_thread_atexit(destroy_local, again++ % 2 == 0 ? &in : NULL, &again);
}

static void *
have_local(void *unused)
{
    return threads_local() == 0 ? unused : &in;
}

int
threads_local_apart(void)
{
    pthread_t t;
    void *result = &in;
    int error = pthread_create(&t, NULL, have_local, NULL);
    return error == 0 && pthread_join(t, &result) == 0 && result == NULL ? 0 : -1;
}

static void *
call(void *run)
{
    int (*function)(void) = *(int (**)(void))run;
    return (void *)(ptrdiff_t)function();
}

// What run returns on a thread of this library.
int
threads_apart(int (*run)(void))
{
    pthread_t t;
    void *result = NULL;
    if (pthread_create(&t, NULL, call, &run) != 0 || pthread_join(t, &result) != 0) {
        return -1;
    }
    return (int)(ptrdiff_t)result;
}
