// SPDX-License-Identifier: MIT
#include "locals.h"

#include <dlfcn.h>
#include <stdlib.h>

#include "../linker.h"
#include "../load.h"
#include "threads.h"

struct subi__local {
    struct subi__local *next;
    const void *thread;  // the address of `here` in it
    void (*destroy)(void *);
    void *object;
};

// A library that has, or had, objects. One handle for all of them: a thread that ends does not call the
// dynamic linker, whose lock may be held by somebody who waits for it.
struct subi__kept {
    struct subi__kept *next;
    const char *path;  // the dynamic linker's
    void *handle;
};

static _Thread_local bool here;  // its address tells threads apart; set: destroy_all will be called

// Of glibc: calls destroy when this thread ends; the library that has the address stays until then.
int __cxa_thread_atexit_impl(void (*destroy)(void *), void *object, void *address);

// The newest that this thread has in s, out of the list; NULL: none. With the lock.
static subi__local *
take(subi_slot *s)
{
    subi__local **link = &s->locals;
    while (*link != NULL && (*link)->thread != &here) {
        link = &(*link)->next;
    }
    subi__local *l = *link;
    if (l != NULL) {
        *link = l->next;
    }
    return l;
}

static void
destroy(subi__local *l)
{
    l->destroy(l->object);
    free(l);
}

void
subi__locals_destroy(subi_slot *s)
{
    subi__local *l;
    do {
        subi__slots_acquire();
        l = take(s);
        subi__slots_release();
        if (l != NULL) {
            destroy(l);
        }
    } while (l != NULL);
}

// In any slot that is there; it is kept until subi__threads_leave.
static subi__local *
take_any(subi_slot **s)
{
    subi__local *l = NULL;
    subi__slots_acquire();
    for (*s = subi__slots; *s != NULL; *s = (*s)->next) {
        if (!(*s)->closing && (l = take(*s)) != NULL) {
            subi__threads_enter(*s);
            break;
        }
    }
    subi__slots_release();
    return l;
}

static void
destroy_all(void *unused)
{
    subi_slot *s;
    subi__local *l;
    (void)unused;
    here = false;  // destructors may make objects again
    while ((l = take_any(&s)) != NULL) {
        destroy(l);
        subi__threads_leave(s);
    }
}

// With the lock.
static bool
is_kept(const subi_slot *s, const char *path)
{
    const subi__kept *k = s->kept;
    while (k != NULL && k->path != path) {
        k = k->next;
    }
    return k != NULL;
}

// Keeps the library of s that has that address. False: out of memory.
static bool
keep(subi_slot *s, const void *address)
{
    const char *path = subi__path_at(address);
    subi__slots_acquire();
    bool done = path == NULL || is_kept(s, path);
    subi__slots_release();
    subi__kept *k = done ? NULL : malloc(sizeof(*k));
    if (k == NULL) {
        return done;
    }
    *k = (subi__kept){.path = path, .handle = subi__dlopen(path, RTLD_LAZY | RTLD_NOLOAD)};
    subi__slots_acquire();
    done = k->handle == NULL || is_kept(s, path);
    if (!done) {
        k->next = s->kept;
        s->kept = k;
    }
    subi__slots_release();
    if (done) {
        if (k->handle != NULL) {
            subi__dlclose(k->handle);
        }
        free(k);
    }
    return true;
}

static bool
add(subi_slot *s, void (*function)(void *), void *object)
{
    subi__local *l = malloc(sizeof(*l));
    if (l == NULL || (!here && __cxa_thread_atexit_impl(destroy_all, NULL, &subi__slots) != 0)) {
        free(l);
        return false;
    }
    here = true;
    subi__slots_acquire();
    *l = (subi__local){.next = s->locals, .thread = &here, .destroy = function, .object = object};
    s->locals = l;
    subi__slots_release();
    return true;
}

// What destructors of copies make is lost: nobody could call its destructor.
static bool
is_closing(const subi_slot *s)
{
    subi__slots_acquire();
    bool closing = s->closing;
    subi__slots_release();
    return closing;
}

int
subi_slot_thread_atexit(void (*function)(void *), void *object, void *address)
{
    const void *inside = address;
    subi_slot *s = subi__slot_at(inside, NULL);
    if (s == NULL) {
        inside = (const void *)(uintptr_t)function;
        s = subi__slot_of(inside, NULL);
    }
    if (s == NULL) {
        return __cxa_thread_atexit_impl(function, object, address);
    }
    return is_closing(s) || (keep(s, inside) && add(s, function, object)) ? 0 : -1;
}

void
subi__locals_free(subi_slot *s)
{
    while (s->locals != NULL) {
        subi__local *l = s->locals;
        s->locals = l->next;
        free(l);
    }
    while (s->kept != NULL) {
        subi__kept *k = s->kept;
        s->kept = k->next;
        subi__dlclose(k->handle);
        free(k);
    }
}
