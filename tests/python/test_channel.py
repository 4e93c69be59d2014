# SPDX-License-Identifier: MIT
"""Channels: what goes through, in which order, and how they fill up, wait and close."""

import math
import sys
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from support import KINDS, WAIT, Echo, start

from subinterpreters import (
    ChannelClosedError,
    ChannelEmptyError,
    ChannelError,
    ChannelFullError,
    NotShareableError,
    RecvChannel,
    SendChannel,
    create,
    create_channel,
    select,
)

# ---- the ends ------------------------------------------------------------------------------


def test_identity() -> None:
    (recv, send), (other, other_send) = create_channel(), create_channel()
    assert recv.id == send.id != other.id == other_send.id
    assert repr(recv) == f"<RecvChannel of channel {recv.id}>"
    assert repr(send) == f"<SendChannel of channel {recv.id}>"
    other_send.send((recv, send))
    again = other.recv()
    assert again == (recv, send) and hash(again) == hash((recv, send))
    assert recv != send and recv != other and send != other_send and recv != recv.id
    with pytest.raises(TypeError):
        recv < other  # type: ignore[operator]  # noqa: B015


@pytest.mark.parametrize("kind", [RecvChannel, SendChannel])
def test_the_types_make_nothing(kind: type) -> None:
    with pytest.raises(TypeError):
        kind()
    with pytest.raises(TypeError):
        type("Sub", (kind,), {})


def test_each_end_can_do_its_own() -> None:
    recv, send = create_channel()
    assert not hasattr(recv, "send") and not hasattr(send, "recv")
    with pytest.raises(TypeError):
        iter(send)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("capacity", "expected"),
    [(None, None), (0, 0), (1, 1), (7, 7), (True, 1), (2**62, 2**62), (sys.maxsize, sys.maxsize)],
)
def test_capacity(capacity: int | None, expected: int | None) -> None:
    recv, send = create_channel(capacity)
    assert recv.capacity == send.capacity == expected
    assert create_channel(capacity=capacity)[0].capacity == expected


@pytest.mark.parametrize(
    ("capacity", "error"),
    [
        (-1, ValueError),
        (-(2**63), ValueError),
        (-(2**64), OverflowError),
        (2**63, OverflowError),
        (2**64 - 1, OverflowError),
        (1.0, TypeError),
        (math.nan, TypeError),
        ("1", TypeError),
        ((), TypeError),
    ],
)
def test_bad_capacity(capacity: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        create_channel(capacity)


# ---- order and room ------------------------------------------------------------------------


@pytest.mark.parametrize("capacity", [None, 1, 2, 3])
def test_first_in_first_out(capacity: int | None) -> None:
    recv, send = create_channel(capacity)
    sending = start(lambda: [send.send(number) for number in range(1000)])
    assert [recv.recv(timeout=WAIT) for _ in range(1000)] == list(range(1000))
    sending.result(WAIT)


@pytest.mark.parametrize("capacity", [None, 1, 5])
def test_room(capacity: int | None) -> None:
    recv, send = create_channel(capacity)
    for number in range(capacity or 1000):
        assert len(recv) == len(send) == number
        assert bool(recv) is bool(send) is True
        send.send_nowait(number)
    if capacity:
        for sending in [
            lambda: send.send_nowait(None),
            lambda: send.send(None, timeout=0),
            lambda: send.send(None, 0),
        ]:
            with pytest.raises(ChannelFullError, match=f"^channel {send.id} is full$"):
                sending()
        with pytest.raises(TimeoutError, match=f"^timed out waiting on channel {send.id}$"):
            send.send(None, timeout=0.001)
        assert len(recv) == capacity
    assert recv.recv() == 0
    send.send_nowait("room again")
    assert len(recv) == (capacity or 1000)


def test_a_waiting_sender_gets_the_room_in_its_turn() -> None:
    recv, send = create_channel(1)
    send.send(0)
    sending = start(send.send, 1)
    assert [recv.recv(timeout=WAIT) for _ in range(2)] == [0, 1]
    sending.result(WAIT)


def test_capacity_0_hands_over() -> None:
    recv, send = create_channel(0)
    with pytest.raises(ChannelFullError):
        send.send_nowait(1)
    with pytest.raises(ChannelEmptyError):
        recv.recv_nowait()
    with pytest.raises(TimeoutError):
        send.send(1, timeout=0.001)
    with pytest.raises(TimeoutError):
        recv.recv(timeout=0.001)
    for number in range(100):
        receiving = start(recv.recv)
        send.send(number, timeout=WAIT)
        assert receiving.result(WAIT) == number
        sending = start(send.send, number)
        assert recv.recv(timeout=WAIT) == number
        sending.result(WAIT)
        assert len(recv) == 0


def test_nothing_there() -> None:
    recv, _send = create_channel()
    for receiving in [
        lambda: recv.recv_nowait(),
        lambda: recv.recv(timeout=0),
        lambda: recv.recv(0),
    ]:
        with pytest.raises(ChannelEmptyError, match=f"^channel {recv.id} is empty$"):
            receiving()
    for default in None, 1, recv:
        assert recv.recv_nowait(default) is default
    with pytest.raises(TypeError):
        recv.recv_nowait(default=1)  # type: ignore[call-arg]


# ---- timeouts ------------------------------------------------------------------------------


def recv_from_empty(timeout: Any) -> Any:
    recv, _send = create_channel()
    return recv.recv(timeout)


def send_to_full(timeout: Any) -> Any:
    _recv, send = create_channel(0)
    return send.send(None, timeout)


def select_none_ready(timeout: Any) -> Any:
    (recv, _send), (_recv, send) = create_channel(), create_channel(0)
    return select(recv, (send, 1), timeout=timeout)


def select_nothing(timeout: Any) -> Any:
    return select(timeout=timeout)


waiting = pytest.mark.parametrize(
    "wait", [recv_from_empty, send_to_full, select_none_ready, select_nothing]
)


@waiting
@pytest.mark.parametrize("timeout", [0.05, Fraction(1, 20), Decimal("0.05"), 1e-9, 5e-324])
def test_the_time_is_over(wait: Callable[[Any], Any], timeout: Any) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="^timed out waiting "):
        wait(timeout)
    assert float(timeout) <= time.monotonic() - began < WAIT


@waiting
@pytest.mark.parametrize("timeout", [0, 0.0, -0.0, False])
def test_no_time_at_all(wait: Callable[[Any], Any], timeout: Any) -> None:
    with pytest.raises((ChannelEmptyError, ChannelFullError, TimeoutError), match=r"is |no case"):
        wait(timeout)


@waiting
@pytest.mark.parametrize(
    ("timeout", "error", "message"),
    [
        (-1, ValueError, "timeout must not be negative, got -1"),
        (-1e-9, ValueError, "timeout must not be negative, got -1e-09"),
        (-math.inf, ValueError, "timeout must not be negative, got -inf"),
        (math.nan, ValueError, "timeout must not be negative, got nan"),
        ("1", TypeError, "timeout must be a number of seconds or None, got str"),
        (1j, TypeError, "timeout must be a number of seconds or None, got complex"),
        ((), TypeError, "timeout must be a number of seconds or None, got tuple"),
        (10**400, OverflowError, "int too large to convert to float"),
    ],
)
def test_bad_timeout(
    wait: Callable[[Any], Any], timeout: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{message}$"):
        wait(timeout)


@pytest.mark.parametrize("timeout", [None, math.inf, 1e300, 2**62, 2**64])
def test_time_enough(timeout: Any) -> None:
    (recv, send), (rendezvous, hand_over) = create_channel(), create_channel(0)
    sending = start(hand_over.send, 2, timeout)
    waits = [start(recv.recv, timeout), start(select, rendezvous, timeout=timeout)]
    send.send(1)
    assert [wait.result(WAIT) for wait in waits] == [1, (0, 2)]
    sending.result(WAIT)


# ---- closing -------------------------------------------------------------------------------


def closed(channel: RecvChannel | SendChannel) -> Any:
    return pytest.raises(ChannelClosedError, match=f"^channel {channel.id} is closed$")


def test_closing_the_sending_end() -> None:
    recv, send = create_channel()
    send.send(1)
    send.send(2)
    for _ in range(2):
        send.close()
    assert send.closed
    assert not recv.closed  # there is something to receive
    with closed(send):
        send.send(3)
    with closed(send):
        send.send_nowait(3)
    assert [recv.recv(), recv.recv_nowait()] == [1, 2]
    assert recv.closed
    for receiving in [recv.recv, recv.recv_nowait, lambda: recv.recv_nowait(None)]:
        with closed(recv):
            receiving()
    assert list(recv) == []
    recv.close()


def test_closing_the_receiving_end() -> None:
    recv, send = create_channel()
    send.send(1)
    for _ in range(2):
        recv.close()
    assert recv.closed and send.closed
    assert len(recv) == len(send) == 0
    with closed(send):
        send.send(1)
    for receiving in [recv.recv, recv.recv_nowait, lambda: recv.recv_nowait(None)]:
        with closed(recv):
            receiving()
    assert list(recv) == []
    send.close()


def test_an_unshareable_object_is_an_error_first() -> None:
    _recv, send = create_channel()
    send.close()
    with pytest.raises(NotShareableError):
        send.send(threading.Lock())


def test_iteration_ends_when_the_channel_is_closed() -> None:
    recv, send = create_channel()
    receiving = start(list, recv)
    for number in range(100):
        send.send(number)
    send.close()
    assert receiving.result(WAIT) == list(range(100))


def test_iteration_waits() -> None:
    recv, send = create_channel(0)
    receiving = start(lambda: [next(recv), next(recv)])
    send.send(1, timeout=WAIT)
    send.send(2, timeout=WAIT)
    assert receiving.result(WAIT) == [1, 2]
    assert iter(recv) is recv


@pytest.mark.parametrize("capacity", [None, 0, 1])
def test_closing_wakes_receivers(capacity: int | None) -> None:
    recv, send = create_channel(capacity)
    waits = [start(recv.recv), start(recv.recv, WAIT), start(select, recv), start(list, recv)]
    send.close()
    for wait in waits[:3]:
        assert isinstance(wait.exception(WAIT), ChannelClosedError)
    assert waits[3].result(WAIT) == []


@pytest.mark.parametrize("capacity", [0, 1])
@pytest.mark.parametrize("end", [0, 1])
def test_closing_wakes_senders(capacity: int, end: int) -> None:
    _, send = ends = create_channel(capacity)
    for number in range(capacity):
        send.send(number)
    waits = [start(send.send, 1), start(send.send, 1, WAIT), start(select, (send, 1))]
    ends[end].close()
    for wait in waits:
        assert isinstance(wait.exception(WAIT), ChannelClosedError)


@pytest.mark.parametrize("end", [0, 1])
def test_with(end: int) -> None:
    ends = create_channel()
    with pytest.raises(KeyError), ends[end] as same_end:
        assert same_end is ends[end]
        raise KeyError
    assert ends[0].closed and ends[1].closed


def test_errors_have_a_base() -> None:
    for error in ChannelClosedError, ChannelEmptyError, ChannelFullError:
        assert issubclass(error, ChannelError)


# ---- handles -------------------------------------------------------------------------------


def test_the_last_handle_closes() -> None:
    recv, send = create_channel()
    send.send(1)
    del send
    assert recv.recv() == 1
    with closed(recv):
        recv.recv()
    recv, send = create_channel()
    send.send(1)
    del recv
    with closed(send):
        send.send(2)


def test_a_copy_of_an_end_keeps_it_open() -> None:
    recv, send = create_channel()
    carrier, carry = create_channel()
    carry.send((send, send))
    del send
    with pytest.raises(ChannelEmptyError):  # it is on its way
        recv.recv_nowait()
    first, second = carrier.recv()
    del first
    second.send(1)
    assert recv.recv() == 1
    del second
    with closed(recv):
        recv.recv()


@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize("lose", ["the carrier", "its receiving end", "close"])
def test_an_end_that_is_lost_on_its_way(end: int, lose: str) -> None:
    ends: list[Any] = list(create_channel())
    carrier, carry = create_channel()
    carry.send(((ends[end],),))
    ends[end] = None
    left = ends[1 - end]
    assert not left.closed
    if lose == "close":
        carrier.close()
    del carrier
    if lose == "the carrier":
        del carry
    assert left.closed


def test_a_message_that_is_not_sent_keeps_nothing_open() -> None:
    recv, send = create_channel()
    _carrier, carry = create_channel(0)
    with pytest.raises(ChannelFullError):
        carry.send_nowait(send)
    with pytest.raises(TimeoutError):
        carry.send(send, timeout=0.001)
    with pytest.raises(TimeoutError):
        select((carry, send), timeout=0)
    with pytest.raises(NotShareableError):
        carry.send((send, threading.Lock()))
    del send
    with closed(recv):
        recv.recv_nowait()


def test_a_handle_in_another_interpreter_keeps_it_open() -> None:
    recv, send = create_channel()
    with create() as interp:
        interp.prepare_main(send=send)
        del send
        with pytest.raises(ChannelEmptyError):
            recv.recv_nowait()
        interp.exec("send.send(1)")
        assert recv.recv() == 1
        interp.exec("del send")
        with closed(recv):
            recv.recv()


@pytest.mark.parametrize("isolation", KINDS)
def test_the_end_of_an_interpreter_drops_its_handles(isolation: Any) -> None:
    recv, send = create_channel()
    with create(isolation=isolation) as interp:
        interp.prepare_main(send=send)
        interp.exec("keep = [send]; keep.append(keep)")  # a cycle
        del send
        waiting = start(recv.recv)
    assert isinstance(waiting.exception(WAIT), ChannelClosedError)


def test_a_reply_channel(echo: Echo) -> None:
    """Both ends of a new channel go through an interpreter and are as good as before."""
    recv, send = create_channel()
    other_recv, other_send = echo((recv, send))
    del recv, send
    other_send.send(1)
    assert other_recv.recv() == 1
    echo(None)  # or the variable there keeps the ends


# ---- between interpreters ------------------------------------------------------------------


@pytest.mark.parametrize("isolation", KINDS)
def test_an_interpreter_wakes_a_receiver(isolation: Any) -> None:
    recv, send = create_channel(0)
    with create(isolation=isolation) as interp:
        interp.prepare_main(send=send)
        receiving = start(lambda: [recv.recv(), next(recv), select(recv)])
        interp.exec("for number in range(3): send.send(number)")
        assert receiving.result(WAIT) == [0, 1, (0, 2)]


def test_many_senders_and_receivers() -> None:
    """Each message is received once; the messages of one sender stay in order."""
    recv, send = create_channel(2)
    with create() as a, create() as b:
        runs = []
        for name, interp in ("a", a), ("b", b):
            interp.prepare_main(send=send, name=name)
            runs.append(start(interp.exec, "for i in range(500): send.send((name, i))"))
        receiving = [start(list, recv) for _ in range(2)]
        for run in runs:
            run.result(WAIT)
        send.close()
        got = [each.result(WAIT) for each in receiving]
    assert sorted(got[0] + got[1]) == [(name, i) for name in "ab" for i in range(500)]
    for each in got:
        for name in "ab":
            numbers = [i for sender, i in each if sender == name]
            assert numbers == sorted(numbers)


# ---- select --------------------------------------------------------------------------------


def test_select_does_one_that_is_ready() -> None:
    (empty, keep), (ready, send), (sink, full) = (
        create_channel(),
        create_channel(),
        create_channel(1),
    )
    full.send(0)
    send.send("x")
    assert select(empty, ready, (full, 1)) == (1, "x")
    assert sink.recv() == 0
    assert select(empty, ready, (full, 2)) == (2, None)
    assert sink.recv() == 2
    with pytest.raises(TimeoutError, match="^no case is ready$"):
        select(empty, ready, timeout=0)
    keep.send(None)
    assert select(empty, ready) == (0, None)


def test_select_waits() -> None:
    (a, send_a), (b, send_b) = create_channel(), create_channel(0)
    for _ in range(20):
        selecting = start(select, a, (send_b, "b"))
        assert b.recv(timeout=WAIT) == "b"
        assert selecting.result(WAIT) == (1, None)
        selecting = start(select, a, (send_b, "b"))
        send_a.send("a")
        assert selecting.result(WAIT) == (0, "a")
        with pytest.raises(ChannelEmptyError):  # the other case left nothing behind
            b.recv_nowait()


def test_two_selects_meet() -> None:
    (a, send_a), (b, send_b) = create_channel(0), create_channel(0)
    selecting = start(select, a, (send_b, "b"))
    mine = select((send_a, "a"), b, timeout=WAIT)
    assert (mine, selecting.result(WAIT)) in [((0, None), (0, "a")), ((1, "b"), (1, None))]


def test_a_select_does_not_meet_itself() -> None:
    recv, send = create_channel(0)
    with pytest.raises(TimeoutError):
        select(recv, (send, 1), timeout=0.01)
    recv, send = create_channel()
    assert select(recv, (send, 1)) == (1, None)
    assert select(recv) == (0, 1)


@pytest.mark.parametrize("timeout", [None, 0, 0.01])
def test_select_a_closed_channel(timeout: float | None) -> None:
    (open_end, keep), (drained, gone) = create_channel(), create_channel()
    gone.close()
    for cases in [(open_end, drained), (open_end, (gone, 1))]:
        with pytest.raises(ChannelClosedError, match=f"channel {gone.id} is closed") as caught:
            select(*cases, timeout=timeout)
        assert caught.value.index == 1
    keep.close()


def test_select_drains_a_closed_channel_first() -> None:
    recv, send = create_channel()
    send.send(1)
    send.close()
    assert select(recv) == (0, 1)
    with pytest.raises(ChannelClosedError) as caught:
        select(recv)
    assert caught.value.index == 0


def test_select_is_fair() -> None:
    channels = [create_channel() for _ in range(3)]
    for _, send in channels:
        for _ in range(300):
            send.send(None)
    chosen = [select(*(recv for recv, _ in channels))[0] for _ in range(300)]
    assert min(map(chosen.count, range(3))) > 50  # 100 is expected; 1 run in 10**9 is outside


@pytest.mark.parametrize(
    ("case", "name"),
    [
        (lambda recv, send: send, "SendChannel"),
        (lambda recv, send: (send,), "tuple"),
        (lambda recv, send: (send, 1, 2), "tuple"),
        (lambda recv, send: (recv, 1), "tuple"),
        (lambda recv, send: [send, 1], "list"),
        (lambda recv, send: None, "NoneType"),
        (lambda recv, send: [recv], "list"),
    ],
)
def test_select_something_else(case: Callable[..., Any], name: str) -> None:
    recv, send = create_channel()
    send.send(1)
    with pytest.raises(TypeError, match=rf"^case 1 must be a RecvChannel or .*, got .*{name}$"):
        select(recv, case(recv, send))
    assert len(recv) == 1


def test_select_takes_timeout_as_its_only_keyword() -> None:
    with pytest.raises(TypeError):
        select(wait=1)  # type: ignore[call-arg]


def test_select_many() -> None:
    channels = [create_channel() for _ in range(500)]
    selecting = start(select, *(recv for recv, _ in channels), timeout=WAIT)
    channels[321][1].send("x")
    assert selecting.result(WAIT) == (321, "x")
