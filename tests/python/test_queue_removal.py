# SPDX-License-Identifier: MIT
"""UNBOUND_REMOVE: items leave a queue with the interpreter that has put them."""

import pytest
from support import KINDS, WAIT, start

from subinterpreters import UNBOUND_REMOVE, QueueEmpty, create, create_queue

PUT = """
from subinterpreters import UNBOUND_REMOVE
for item in items:
    queue.put(item, unbounditems=UNBOUND_REMOVE if item < 0 else None)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_items_go_with_their_sender(kind):
    queue = create_queue()
    other = create_queue(unbounditems=UNBOUND_REMOVE)
    with create(isolation=kind) as interp:
        interp.prepare_main(queue=queue, other=other, items=[1, -1, 2, -2, -3])
        interp.exec(PUT)
        interp.exec("other.put([{}])")
        queue.put(-4, unbounditems=UNBOUND_REMOVE)
        other.put("mine")
        assert (queue.qsize(), other.qsize()) == (6, 2)
    assert (queue.qsize(), other.qsize()) == (3, 1)
    assert [queue.get_nowait() for _ in range(3)] == [1, 2, -4]
    assert other.get_nowait() == "mine"
    for each in queue, other:
        assert each.empty()
        with pytest.raises(QueueEmpty):
            each.get_nowait()


def test_there_is_room_for_who_waits():
    queue = create_queue(2)
    with create() as interp:
        interp.prepare_main(queue=queue, items=[-1, 1])
        interp.exec(PUT)
        assert queue.full()
        put = start(queue.put, "next")
    put.result(WAIT)
    assert (queue.get(), queue.get()) == (1, "next")
    assert not queue.full()
