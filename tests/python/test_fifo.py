# SPDX-License-Identifier: MIT
"""Channels between many interpreters and threads: nothing lost, doubled or overtaken."""

import pytest
from support import run_script

PRODUCERS_AND_CONSUMERS = """
import sys, threading
import subinterpreters as si

where, capacity, items = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
recv, send = si.create_channel(None if capacity < 0 else capacity)
out_recv, out = si.create_channel()
produce = "for k in range(items): send.send((number, k))"
consume = "out.send(number)\\nfor item in recv: out.send((number, *item))"
interps, producers, consumers, errors = [], [], [], []

def worker(code, number, in_interpreter, **names):
    names.update(number=number, items=items)
    if in_interpreter:
        interp = si.create()
        interps.append(interp)
        interp.prepare_main(**names)
        call = interp.exec
    else:
        call = lambda code: exec(code, names)
    def run():
        try:
            call(code)
        except BaseException as e:
            errors.append(e)
    return threading.Thread(target=run)

for number in range(4):
    in_interpreter = where == "interpreters" or (where == "both" and number % 2)
    producers.append(worker(produce, number, in_interpreter, send=send))
    consumers.append(worker(consume, number, in_interpreter, recv=recv, out=out))
for t in producers + consumers:
    t.start()
for t in producers:
    t.join()
send.close()
for t in consumers:
    t.join()
assert not errors, errors
received = [out_recv.recv() for _ in range(len(out_recv))]
received = [item for item in received if type(item) is tuple]
assert len(received) == 4 * items, len(received)
assert len(set(item[1:] for item in received)) == 4 * items
for consumer in range(4):
    for producer in range(4):
        seen = [k for c, p, k in received if (c, p) == (consumer, producer)]
        assert seen == sorted(seen), (consumer, producer)
for interp in interps:
    interp.close()
"""


@pytest.mark.parametrize("capacity", ["-1", "0", "1", "10"])
@pytest.mark.parametrize("where", ["interpreters", "threads", "both"])
def test_four_producers_and_four_consumers(where, capacity):
    items = "3000" if capacity == "0" else "8000"
    run_script(PRODUCERS_AND_CONSUMERS, where, capacity, items)


PRELUDE = """
import sys, threading, time
import subinterpreters as si

def start(work):
    t = threading.Thread(target=work)
    t.start()
    return t

def raises(error, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except error as e:
        return e
    raise AssertionError(f"{error.__name__} was not raised")
"""

SCENARIOS = {
    "sender closed with items in flight": """
recv, send = si.create_channel()
with si.create() as interp:
    interp.prepare_main(send=send)
    interp.exec("for k in range(1000): send.send((k, 'x' * k, b'y' * k))")
for k in range(1000):
    assert recv.recv(timeout=5) == (k, "x" * k, b"y" * k)
raises(TimeoutError, recv.recv, timeout=0.01)  # our own sending end is open
""",
    "last sending end goes with its interpreter": """
recv, send = si.create_channel()
interp = si.create()
interp.prepare_main(send=send)
send.send("first")
del send
interp.exec("send.send('last')")
interp.close()
assert list(recv) == ["first", "last"]
raises(si.ChannelClosedError, recv.recv)
""",
    "last receiving end goes with its interpreter": """
recv, send = si.create_channel(1)
interp = si.create()
interp.prepare_main(recv=recv)
del recv
send.send(1)
blocked = start(lambda: raises(si.ChannelClosedError, send.send, 2))
interp.close()
blocked.join()
raises(si.ChannelClosedError, send.send, 3)
raises(si.ChannelClosedError, send.send_nowait, 3)
""",
    "receiver dropped while a sender waits for it": """
recv, send = si.create_channel(0)
interp = si.create()
started, ready = si.create_channel()
interp.prepare_main(recv=recv, ready=ready)
del recv
receiver = start(lambda: interp.exec(
    "ready.send(1)\\ntry: recv.recv(timeout=0.05)\\nexcept TimeoutError: pass\\ndel recv"))
started.recv()
receiver.join()
raises(si.ChannelClosedError, send.send, 1)
interp.close()
""",
    "creator closed": """
carry_recv, carry = si.create_channel()
with si.create() as interp:
    interp.prepare_main(carry=carry)
    interp.exec('''if True:
        import subinterpreters as si
        recv, send = si.create_channel()
        send.send("of the creator")
        carry.send((recv, send))
    ''')
recv, send = carry_recv.recv()
send.send("after it")
assert [recv.recv(), recv.recv()] == ["of the creator", "after it"]
""",
    "channel in its own queue": """
recv, send = si.create_channel()
send.send((recv, send))
got_recv, got_send = recv.recv()
assert (got_recv, got_send) == (recv, send)
got_send.send(got_recv)
""",
    "close wakes all receivers": """
recv, send = si.create_channel()
started, ready = si.create_channel()
interps = [si.create() for _ in range(4)]
for interp in interps:
    interp.prepare_main(recv=recv, ready=ready)
code = '''if True:
    ready.send(1)
    from subinterpreters import ChannelClosedError
    try: recv.recv()
    except ChannelClosedError: pass
    else: raise AssertionError("received")
'''
threads = [start(lambda i=i: i.exec(code)) for i in interps]
threads += [start(lambda: (ready.send(1), raises(si.ChannelClosedError, recv.recv)))
            for _ in range(4)]
for _ in range(8):
    started.recv()
recv.close()
for t in threads:
    t.join()
for interp in interps:
    interp.close()
""",
    "close wakes all senders": """
recv, send = si.create_channel(1)
send.send(0)
woken = []
threads = [start(lambda: woken.append(raises(si.ChannelClosedError, send.send, 1)))
           for _ in range(8)]
recv.close()
for t in threads:
    t.join()
assert len(woken) == 8
""",
    "close wakes selects": """
channels = [si.create_channel() for _ in range(4)]
woken = []
threads = [start(lambda: woken.append(raises(si.ChannelClosedError, si.select,
                                             *[recv for recv, _ in channels])))
           for _ in range(4)]
channels[2][1].close()
for t in threads:
    t.join()
assert [e.index for e in woken] == [2] * 4
""",
    "time-outs": """
recv, send = si.create_channel(1)
for timeout in (0, 1e-9, 0.05):
    began = time.monotonic()
    if timeout:
        raises(TimeoutError, recv.recv, timeout=timeout)
    else:
        raises((TimeoutError, si.ChannelEmptyError), recv.recv, timeout=0)
    assert timeout <= time.monotonic() - began < timeout + 5
send.send(1, timeout=0)
raises((TimeoutError, si.ChannelFullError), send.send, 2, timeout=0)
raises(TimeoutError, send.send, 2, timeout=0.01)
raises(TimeoutError, si.select, (send, 2), timeout=0.01)
assert recv.recv(timeout=0) == 1
assert len(recv) == 0
for timeout in (-1, float("nan"), float("-inf")):
    raises(ValueError, recv.recv, timeout=timeout)
send.send(2, timeout=float("inf"))
assert recv.recv(timeout=float("inf")) == 2
""",
    "a timed out rendezvous leaves nothing": """
recv, send = si.create_channel(0)
for _ in range(100):
    raises(TimeoutError, send.send, "stale", timeout=1e-4)
received = []
receiver = start(lambda: received.append(recv.recv()))
send.send("fresh")
receiver.join()
assert received == ["fresh"]
""",
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_ends_that_go_away(scenario):
    run_script(PRELUDE + SCENARIOS[scenario])
