// SPDX-License-Identifier: MIT
//
// The hidden table of objects, against a model that is too simple to be wrong.
#include <string.h>

#include "table.h"
#include "tap.h"

#define MODEL_SIZE 3000

// model[k] is the entry with id `first + k`, or NULL when it left the table.
static subi__entry *model[MODEL_SIZE];
static size_t model_count;
static int64_t first_id;
static subi__table table = SUBI__TABLE_INIT;

static subi__entry *
add_entry(subi__table *t)
{
    subi__entry *e = malloc(sizeof(*e));
    must(e != NULL && subi__table_add(t, e) == SUBI_OK);
    return e;
}

static void
drop_entry(subi__table *t, subi__entry *e)
{
    if (subi__table_drop(t, e)) {
        free(e);
    }
}

// Every id, of the past too, finds what the model says.
static bool
agrees_with_model(void)
{
    for (size_t k = 0; k < model_count; k++) {
        subi__entry *e = subi__table_find(&table, first_id + (int64_t)k);
        if (e != model[k]) {
            return false;
        }
        if (e != NULL) {
            drop_entry(&table, e);
        }
    }
    return subi__table_find(&table, first_id + (int64_t)model_count) == NULL &&
           subi__table_find(&table, -1) == NULL;
}

static bool
list_agrees_with_model(void)
{
    int64_t *ids;
    size_t count, seen = 0;
    must(subi__table_ids(&table, NULL, &ids, &count) == SUBI_OK);
    for (size_t k = 0; k < model_count; k++) {
        if (model[k] != NULL && (seen >= count || ids[seen++] != first_id + (int64_t)k)) {
            free(ids);
            return false;
        }
    }
    free(ids);
    return seen == count;
}

static void
random_step(uint64_t *random, unsigned add_share)
{
    if (tap_random(random) % 100 < add_share && model_count < MODEL_SIZE) {
        subi__entry *e = add_entry(&table);
        must(e->id == first_id + (int64_t)model_count);
        model[model_count++] = e;
    }
    else if (model_count > 0) {
        size_t k = tap_random(random) % model_count;
        if (model[k] != NULL) {
            subi__entry *e = model[k];
            bool unlist = tap_random(random) % 2 == 0;
            must(!unlist || subi__table_unlist(&table, e));
            must(!unlist || !subi__table_unlist(&table, e));
            model[k] = NULL;
            drop_entry(&table, e);
        }
    }
}

static void
test_random_operations(void)
{
    uint64_t random = tap_seed;
    bool found = true, listed = true;
    for (int step = 0; step < 8000; step++) {
        // phases of growing and of shrinking, so that runs of full slots come and go
        random_step(&random, step / 500 % 2 == 0 ? 80 : 30);
        if (step % (40 * TAP_SLOW) == 0) {
            found = found && agrees_with_model();
            listed = listed && list_agrees_with_model();
        }
    }
    ok(found, "random adds and removals: ids find what the model says, stale ids nothing");
    ok(listed, "random adds and removals: the list is that of the model, ascending");
    for (size_t k = 0; k < model_count; k++) {
        if (model[k] != NULL) {
            drop_entry(&table, model[k]);
            model[k] = NULL;
        }
    }
    ok(list_agrees_with_model() && table.count == 0, "the table can be emptied");
}

static bool
has_id(subi__entry *e, const void *id)
{
    return e->id == *(const int64_t *)id;
}

static void
test_search_and_snapshot(void)
{
    subi__table t = SUBI__TABLE_INIT;
    subi__entry *a = add_entry(&t), *b = add_entry(&t), **all;
    size_t count;
    int64_t id = b->id;
    subi__entry *found = subi__table_search(&t, has_id, &id);
    ok(found == b && atomic_load(&b->references) == 2, "a search gives a new reference");
    drop_entry(&t, found);
    ok(subi__table_snapshot(&t, &all, &count) == SUBI_OK && count == 2, "a snapshot has all");
    drop_entry(&t, a);
    ok(subi__table_listed(&t, a), "the snapshot's reference keeps an entry in the table");
    ok(subi__table_unlist(&t, a) && !subi__table_listed(&t, a), "an entry can be taken out");
    ok(subi__table_find(&t, a->id) == NULL, "and then is not found");
    drop_entry(&t, all[0]);
    drop_entry(&t, all[1]);
    free(all);
    drop_entry(&t, b);
    ok(t.count == 0, "the last drop takes an entry out of the table");
    free(t.slots);
}

// Threads that look up one id while its last reference goes: nobody gets a dying entry.
static subi__table shared = SUBI__TABLE_INIT;
static _Atomic int64_t shared_id;
static atomic_bool stop;

static void *
find_shared(void *unused)
{
    while (!atomic_load(&stop)) {
        subi__entry *e = subi__table_find(&shared, atomic_load(&shared_id));
        if (e != NULL) {
            must(atomic_load(&e->references) > 0);
            drop_entry(&shared, e);
        }
    }
    return unused;
}

static void
test_find_against_drop(void)
{
    pthread_t t[2] = {tap_thread(find_shared, NULL), tap_thread(find_shared, NULL)};
    for (int i = 0; i < 200000 / TAP_SLOW; i++) {
        subi__entry *e = add_entry(&shared);
        atomic_store(&shared_id, e->id);
        drop_entry(&shared, e);
    }
    atomic_store(&stop, true);
    tap_join(t[0]);
    tap_join(t[1]);
    ok(shared.count == 0, "look-ups during the last drop never revive an entry");
    free(shared.slots);
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    first_id = table.next_id;
    test_random_operations();
    test_search_and_snapshot();
    test_find_against_drop();
    free(table.slots);
    return tap_done();
}
