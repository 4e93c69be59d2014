// SPDX-License-Identifier: MIT
#include "peek.h"

#define MOST 20  // cases; more than select keeps on its stack

static subi_channel *channels[MOST];
static subi_message messages[MOST];
static subi_case cases[MOST];

static void
make_channels(size_t n, size_t capacity)
{
    for (size_t i = 0; i < n; i++) {
        must(subi_channel_new(capacity, &channels[i]) == SUBI_OK);
        messages[i] = subi_message_none();
        cases[i] = (subi_case){.channel = channels[i], .end = SUBI_RECV, .message = &messages[i]};
    }
}

static void
drop_channels(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        must(peek_waiting(channels[i], SUBI_SEND) == 0);
        must(peek_waiting(channels[i], SUBI_RECV) == 0);
        subi_channel_drop(channels[i]);
    }
}

static void
put(size_t i, int64_t value)
{
    subi_message m = subi_message_integer(value);
    must(subi_channel_send(channels[i], SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK);
}

static void
test_nothing_ready(void)
{
    size_t chosen = 77;
    int64_t start = subi_now();
    make_channels(3, SUBI_UNBOUNDED);
    ok(subi_select(cases, 3, SUBI_NOBODY, SUBI_TRY, &chosen) == SUBI_EMPTY, "try: none ready");
    ok(subi_select(cases, 3, SUBI_NOBODY, 1, &chosen) == SUBI_TIMEOUT, "long past: timeout");
    ok(subi_select(cases, 3, SUBI_NOBODY, start + 50 * MS, &chosen) == SUBI_TIMEOUT &&
           subi_now() - start >= 50 * MS,
       "timeout after 50 ms");
    ok(chosen == 77, "then no case is chosen");
    start = subi_now();
    ok(subi_select(NULL, 0, SUBI_NOBODY, SUBI_TRY, &chosen) == SUBI_EMPTY, "no cases, try");
    ok(subi_select(NULL, 0, SUBI_NOBODY, start + 20 * MS, &chosen) == SUBI_TIMEOUT &&
           subi_now() - start >= 20 * MS,
       "no cases: waits for the deadline");
    drop_channels(3);
}

// Which of the ready cases are chosen, in many rounds. `ready` has a bit for each case.
static void
test_fairness(size_t n, unsigned ready, const char *name)
{
    int rounds = 20000, counts[MOST] = {0}, ready_count = __builtin_popcount(ready);
    make_channels(n, SUBI_UNBOUNDED);
    for (size_t i = 0; i < n; i++) {
        for (int k = 0; (ready >> i & 1) != 0 && k < rounds; k++) {
            put(i, (int64_t)i);
        }
    }
    for (int k = 0; k < rounds; k++) {
        size_t chosen;
        must(subi_select(cases, n, SUBI_NOBODY, SUBI_FOREVER, &chosen) == SUBI_OK);
        must(messages[chosen].u.integer == (int64_t)chosen);
        counts[chosen]++;
    }
    bool fair = true;
    int share = rounds / ready_count;
    for (size_t i = 0; i < n; i++) {
        int want = (ready >> i & 1) != 0 ? share : 0;
        // the standard deviation is below sqrt(share): 6 of them is once in 10^9 runs
        int slack = want > 0 ? 6 * 141 : 0;
        fair = fair && counts[i] >= want - slack && counts[i] <= want + slack;
    }
    ok(fair, "the choice is uniform: %s", name);
    drop_channels(n);
}

static void
test_closed_is_ready(void)
{
    size_t chosen = 77;
    make_channels(3, SUBI_UNBOUNDED);
    must(subi_channel_close(channels[1], SUBI_BOTH, false) == SUBI_OK);
    ok(subi_select(cases, 3, SUBI_NOBODY, SUBI_FOREVER, &chosen) == SUBI_CLOSED && chosen == 1,
       "a closed channel is a ready case");
    put(2, 5);
    must(subi_channel_close(channels[2], SUBI_SEND, false) == SUBI_OK);
    ok(subi_select(&cases[2], 1, SUBI_NOBODY, SUBI_TRY, &chosen) == SUBI_OK && chosen == 0 &&
           messages[2].u.integer == 5,
       "a half closed one still drains");
    must(subi_channel_release(channels[0], 3, SUBI_RECV) == SUBI_OK);
    ok(subi_select(&cases[0], 1, 3, SUBI_TRY, &chosen) == SUBI_CLOSED && chosen == 0,
       "so is an end that this interpreter released");
    drop_channels(3);
}

// ---- parked selects ----------------------------------------------------------------------------

static size_t case_count, parked_chosen;
static subi_result parked_result;

static void *
select_forever(void *unused)
{
    parked_chosen = 77;
    parked_result = subi_select(cases, case_count, SUBI_NOBODY, SUBI_FOREVER, &parked_chosen);
    return unused;
}

static void
test_parked_receive(size_t n, size_t capacity, size_t by, const char *name)
{
    make_channels(n, capacity);
    case_count = n;
    pthread_t t = tap_thread(select_forever, NULL);
    for (size_t i = 0; i < n; i++) {
        await_waiting(channels[i], SUBI_RECV, 1);
    }
    put(by, 42);
    tap_join(t);
    ok(parked_result == SUBI_OK && parked_chosen == by && messages[by].u.integer == 42,
       "%s: a parked select receives from any case", name);
    drop_channels(n);
}

static void
test_parked_close(void)
{
    make_channels(3, 1);
    case_count = 3;
    pthread_t t = tap_thread(select_forever, NULL);
    await_waiting(channels[2], SUBI_RECV, 1);
    subi_channel_close(channels[2], SUBI_SEND, false);
    tap_join(t);
    ok(parked_result == SUBI_CLOSED && parked_chosen == 2, "closing one case ends a parked select");
    drop_channels(3);
}

static void
test_repeated_channel(void)
{
    size_t chosen;
    make_channels(1, SUBI_RENDEZVOUS);
    for (size_t i = 1; i < 12; i++) {
        cases[i] = (subi_case){channels[0], SUBI_RECV, &messages[i]};
        messages[i] = subi_message_none();
    }
    ok(subi_select(cases, 12, SUBI_NOBODY, 1, &chosen) == SUBI_TIMEOUT, "one channel 12 times");
    case_count = 12;
    pthread_t t = tap_thread(select_forever, NULL);
    await_waiting(channels[0], SUBI_RECV, 12);
    put(0, 8);
    subi_message m = subi_message_integer(9);
    ok(subi_channel_send(channels[0], SUBI_NOBODY, &m, SUBI_TRY) == SUBI_FULL,
       "it receives once, not once for each case");
    tap_join(t);
    ok(parked_result == SUBI_OK && messages[parked_chosen].u.integer == 8, "into the chosen case");
    drop_channels(1);
}

// Sends and receives on one channel, in one select: must never serve itself.
static void
test_both_ends(void)
{
    size_t chosen = 77;
    make_channels(1, SUBI_RENDEZVOUS);
    subi_message out = subi_message_integer(1);
    cases[1] = (subi_case){channels[0], SUBI_SEND, &out};
    ok(subi_select(cases, 2, SUBI_NOBODY, SUBI_TRY, &chosen) == SUBI_EMPTY &&
           subi_select(cases, 2, SUBI_NOBODY, 1, &chosen) == SUBI_TIMEOUT,
       "a select does not meet itself");
    case_count = 2;
    pthread_t t = tap_thread(select_forever, NULL);
    await_waiting(channels[0], SUBI_SEND, 1);
    subi_message in, mine = subi_message_integer(2);
    subi_case others[2] = {{channels[0], SUBI_RECV, &in}, {channels[0], SUBI_SEND, &mine}};
    must(subi_select(others, 2, SUBI_NOBODY, SUBI_FOREVER, &chosen) == SUBI_OK);
    tap_join(t);
    bool received = chosen == 0 && in.u.integer == 1 && parked_chosen == 1;
    bool sent = chosen == 1 && messages[0].u.integer == 2 && parked_chosen == 0;
    ok(parked_result == SUBI_OK && (received || sent), "but two such selects meet each other");
    drop_channels(1);
}

// A node of a select that another channel ended must not swallow a message.
static void
test_stale_nodes(void)
{
    make_channels(2, 4);
    bool kept = true;
    for (int round = 0; round < 2000 / TAP_SLOW; round++) {
        subi_message m;
        case_count = 2;
        messages[0] = messages[1] = subi_message_none();
        pthread_t t = tap_thread(select_forever, NULL);
        await_waiting(channels[1], SUBI_RECV, 1);
        put(0, 1);
        put(1, 2);  // perhaps before the other thread has unlinked its node here
        tap_join(t);
        kept = kept && parked_result == SUBI_OK && parked_chosen == 0 &&
               subi_channel_count(channels[1]) == 1;
        must(subi_channel_recv(channels[1], SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK);
    }
    ok(kept, "a message sent to a case that lost is queued");
    drop_channels(2);
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    test_nothing_ready();
    test_fairness(4, 0xf, "all of 4");
    test_fairness(3, 0x3, "2 neighbours of 3");
    test_fairness(16, 0x8003, "3 of 16");
    test_closed_is_ready();
    test_parked_receive(1, SUBI_UNBOUNDED, 0, "1 case");
    test_parked_receive(8, 1, 7, "8 cases");
    test_parked_receive(9, SUBI_RENDEZVOUS, 3, "9 cases");
    test_parked_receive(MOST, SUBI_UNBOUNDED, MOST - 1, "20 cases");
    test_parked_close();
    test_repeated_channel();
    test_both_ends();
    test_stale_nodes();
    return tap_done();
}
