// SPDX-License-Identifier: MIT
//
// A library that calls Python, for test_slot_threads.c. Its constructor gives its thread an object, starts
// a std::thread, which makes a key, and waits for that; its destructor gives its thread an object.
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>

#include "slot_std_thread.h"

int Py_Count(void);
int plain_count(void);
int early_ready(void);
int early_key(void);
void early_go(void);
int early_join(void);

static pthread_t thread;
static sem_t in, go;
static int started = -1, keyed = -1;
static pthread_key_t key;

int __cxa_thread_atexit(void (*function)(void *), void *object, void *address)
    __attribute__((weak));

static void
destroy(void *unused)
{
    (void)unused;
    plain_count();
}

static void
run(std_state *unused)
{
    (void)unused;
    keyed = pthread_key_create(&key, NULL);
    sem_post(&in);
    while (sem_wait(&go) != 0) {
    }
}

static void
leave(std_state *unused)
{
    (void)unused;
}

static const std_functions functions = {NULL, leave, run};
static std_state state = {&functions};

__attribute__((constructor)) static void
start(void)
{
    std_state *s = &state;
    sem_init(&in, 0, 0);
    sem_init(&go, 0, 0);
    started = __cxa_thread_atexit(destroy, NULL, &state);
    start_std_thread(&thread, &s, NULL);
    while (sem_wait(&in) != 0) {
    }
    started = started == 0 && s == NULL ? 0 : -1;
}

__attribute__((destructor)) static void
stop(void)
{
    __cxa_thread_atexit(destroy, NULL, &state);
}

int
early_key(void)
{
    return keyed == 0 ? (int)key : -1;
}

// 0: the constructor did all that, and the thread is here until early_go.
int
early_ready(void)
{
    return Py_Count() > 0 ? started : -1;
}

void
early_go(void)
{
    sem_post(&go);
}

int
early_join(void)
{
    return pthread_join(thread, NULL);
}
