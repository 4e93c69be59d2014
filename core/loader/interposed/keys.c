// SPDX-License-Identifier: MIT
#include "keys.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "../linker.h"
#include "../load.h"

struct subi__owned_key {
    struct subi__owned_key *next;
    pthread_key_t key;
    void (*destructor)(void *);  // may be NULL
};

// ---- for code in copies -----------------------------------------------------------------------

int
subi_slot_key_create(pthread_key_t *key, void (*destructor)(void *), const void *caller)
{
    subi_slot *s = subi__slot_of(caller, NULL);
    if (s == NULL) {
        return pthread_key_create(key, destructor);
    }
    subi__owned_key *k = malloc(sizeof(*k));
    if (k == NULL) {
        return ENOMEM;
    }
    int error = pthread_key_create(key, NULL);
    if (error != 0) {
        subi__error_set("the process has no more thread-specific keys (PTHREAD_KEYS_MAX is %d)",
                        PTHREAD_KEYS_MAX);
        free(k);
        return error;
    }
    subi__slots_acquire();
    *k = (subi__owned_key){.next = s->keys, .key = *key, .destructor = destructor};
    s->keys = k;
    subi__slots_release();
    return 0;
}

// Takes the key out of the slot that has it.
static subi__owned_key *
disown(pthread_key_t key)
{
    for (subi_slot *s = subi__slots; s != NULL; s = s->next) {
        for (subi__owned_key **link = &s->keys; *link != NULL; link = &(*link)->next) {
            if ((*link)->key == key) {
                subi__owned_key *k = *link;
                *link = k->next;
                return k;
            }
        }
    }
    return NULL;
}

int
subi_slot_key_delete(pthread_key_t key)
{
    subi__slots_acquire();
    subi__owned_key *k = disown(key);  // before anybody else can get the same key
    subi__slots_release();
    free(k);
    return pthread_key_delete(key);
}

// ---- for slots --------------------------------------------------------------------------------

// One that has something in this thread: it has nothing afterwards. Destructors make and delete keys, so
// the list is looked through from its beginning each time.
static bool
take_value(subi_slot *s, void (**destructor)(void *), void **value)
{
    bool found = false;
    subi__slots_acquire();
    for (const subi__owned_key *k = s->keys; k != NULL && !found; k = k->next) {
        *value = k->destructor != NULL ? pthread_getspecific(k->key) : NULL;
        found = *value != NULL;
        if (found) {
            *destructor = k->destructor;
            pthread_setspecific(k->key, NULL);
        }
    }
    subi__slots_release();
    return found;
}

// Destructors may set values again: like the system, this gives up some day.
void
subi__keys_destroy(subi_slot *s)
{
    int calls = PTHREAD_DESTRUCTOR_ITERATIONS * PTHREAD_KEYS_MAX;
    void (*destructor)(void *);
    void *value;
    while (calls-- > 0 && take_value(s, &destructor, &value)) {
        destructor(value);
    }
}

void
subi__keys_free(subi_slot *s)
{
    while (s->keys != NULL) {
        subi__owned_key *k = s->keys;
        s->keys = k->next;
        pthread_key_delete(k->key);
        free(k);
    }
}
