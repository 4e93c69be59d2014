# SPDX-License-Identifier: MIT
"""A process that has interpreters forks: the child starts anew, the parent notices nothing."""

import sys

import pytest
from support import KINDS, WAIT, run_script

PARENT = """
import multiprocessing, os, subprocess, sys, threading, warnings
import subinterpreters as si

warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads
state, kind, *kinds = sys.argv[1:]
interp = si.create(isolation=kind)
started_recv, started = si.create_channel()
stop, stop_send = si.create_channel()
recv, send = si.create_channel()
send.send("of the parent")
threads = []

def start(work):
    threads.append(threading.Thread(target=work))
    threads[-1].start()

interp.prepare_main(started=started, stop=stop)
if state == "running":
    # on 3.12 code that shares a GIL does not notice when another interpreter asks for it: sleep
    start(lambda: interp.exec("import time\\nstarted.send(1)\\n"
                              "while stop.recv_nowait(None) is None: time.sleep(0)"))
    started_recv.recv()
elif state == "blocked":
    waiting_recv, waiting_send = si.create_channel()
    start(lambda: interp.exec("started.send(1); stop.recv()"))
    start(waiting_recv.recv)
    started_recv.recv()
elif state == "closed":
    interp.close()

def refused(error, call, *args):
    try:
        call(*args)
    except error as e:
        assert "forked" in str(e) or "closed" in str(e), e
    else:
        raise AssertionError(f"{call} was not refused")

def check_child():
    global interp, recv, send
    refused(si.InterpreterError, interp.exec, "x = 1")
    refused(si.InterpreterError, interp.prepare_main, {"x": 1})
    refused(si.InterpreterError, interp.close)
    assert not interp.is_running()
    refused(si.ChannelError, send.send, 1)
    refused(si.ChannelError, send.send_nowait, 1)
    refused(si.ChannelError, recv.recv)
    refused(si.ChannelError, recv.recv_nowait)
    refused(si.ChannelError, si.select, recv)
    repr((interp, recv, send)), interp.id, recv.id, send.capacity, recv.closed, len(recv)
    interp = recv = send = None
    for kind in kinds:
        new_recv, new_send = si.create_channel()
        with si.create(isolation=kind) as new:
            new.prepare_main(send=new_send)
            new.exec("send.send('from the child')")
        assert new_recv.recv(timeout=5) == "from the child"

def check_parent():
    assert recv.recv(timeout=5) == "of the parent"
    if state != "closed":
        if state == "blocked":
            waiting_send.send(1)
        stop_send.send(1)
        for t in threads:
            t.join()
        interp.exec("x = 1")
        interp.close()
    with si.create() as new:
        new.exec("x = 1")
    assert si.list_all() == [si.get_main()]

def wait_for(pid):
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status
"""

CHILDREN = {
    "_exit": """
pid = os.fork()
if pid == 0:
    code = 1
    try:
        check_child()
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)
wait_for(pid)
""",
    "sys.exit": """
pid = os.fork()
if pid == 0:
    check_child()
    sys.exit()
wait_for(pid)
""",
    "nothing at all": """
pid = os.fork()
if pid == 0:
    sys.exit()
wait_for(pid)
""",
    "exec": """
pid = os.fork()
if pid == 0:
    check_child()
    os.execv(sys.executable, [sys.executable, "-c", "import sys; sys.exit(0)"])
wait_for(pid)
""",
    "preexec_fn": """
subprocess.run([sys.executable, "-c", "pass"], check=True, timeout=20, preexec_fn=check_child)
""",
    "fork of a fork": """
pid = os.fork()
if pid == 0:
    check_child()
    interp, (recv, send) = si.create(), si.create_channel()
    pid = os.fork()
    if pid == 0:
        check_child()
        sys.exit()
    wait_for(pid)
    interp.exec("x = 1")
    sys.exit()
wait_for(pid)
""",
    "fork Pool": """
def work(number):
    check_child.done = getattr(check_child, "done", False) or (check_child() or True)
    return number * number
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map_async(work, range(8), chunksize=1).get(20) == [n * n for n in range(8)]
""",
    "forkserver": """
import math
with multiprocessing.get_context("forkserver").Pool(2) as pool:
    assert pool.map_async(math.factorial, range(4)).get(20) == [1, 1, 2, 6]
""",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", CHILDREN)
@pytest.mark.parametrize("state", ["idle", "running", "blocked", "closed"])
def test_child_starts_anew(state, way, kind):
    run_script(PARENT + CHILDREN[way] + "check_parent()", state, kind, *KINDS)


LEGACY = """
import os, sys
import subinterpreters
subinterpreters._install_xxsubinterpreters()
import _xxsubinterpreters as xx

id, cid = xx.create(), xx.channel_create()
xx.channel_send(cid, "of the parent")
pid = os.fork()
if pid == 0:
    for call, args in [(xx.run_string, (id, "x = 1")), (xx.destroy, (id,)), (xx.is_running, (id,)),
                       (xx.channel_send, (cid, 1)), (xx.channel_recv, (cid,)),
                       (xx.channel_close, (cid,)), (xx.channel_destroy, (cid,))]:
        try:
            call(*args)
        except RuntimeError:
            pass
        else:
            raise AssertionError(call)
    repr((id, cid))
    assert xx.list_all() == [xx.get_main()] == [xx.get_current()], xx.list_all()
    assert xx.channel_list_all() == [], xx.channel_list_all()
    del id, cid
    new, cid = xx.create(), xx.channel_create()
    xx.run_string(new, "import _xxsubinterpreters as xx; xx.channel_send(int(cid), 'child')",
                  {"cid": cid})
    assert xx.channel_recv(cid) == "child"
    xx.destroy(new)
    sys.exit()
_, status = os.waitpid(pid, 0)
assert status == 0, status
assert xx.channel_recv(cid) == "of the parent"
xx.run_string(id, "x = 1")
xx.destroy(id)
"""


def test_legacy_objects_in_the_child():
    run_script(LEGACY)


CURRENT = """
import os, sys
import subinterpreters as si

assert si.get_current() == si.get_main()
pid = os.fork()
assert si.list_all() == [si.get_main()], si.list_all()
assert si.get_current() == si.get_main(), (si.get_current(), si.get_main())
assert si.get_current().isolation == "main"
assert si.get_current().is_running()
if pid != 0:
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
"""


def test_the_childs_only_interpreter_is_its_main_one():
    run_script(CURRENT)


OTHER_THREAD = """
import os, sys, threading
import subinterpreters as si

# many threads inside the library at the moment of the fork
stop = threading.Event()
ping, pong = si.create_channel(), si.create_channel()

def make():
    while not stop.is_set():
        with si.create() as interp:
            interp.exec("x = 1")

def send(channel):
    while not stop.is_set():
        channel[1].send(1)
        channel[0].recv()

threads = [threading.Thread(target=make) for _ in range(2)]
threads += [threading.Thread(target=send, args=[c]) for c in (ping, pong)]
for t in threads:
    t.start()
try:
    for _ in range(int(sys.argv[1])):
        pid = os.fork()
        if pid == 0:
            recv, send = si.create_channel()
            with si.create() as interp:
                interp.prepare_main(send=send)
                interp.exec("send.send(1)")
            recv.recv(timeout=5)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        assert status == 0, status
finally:
    stop.set()
for t in threads:
    t.join()
assert si.list_all() == [si.get_main()]
"""


@pytest.mark.skipif(
    sys.version_info < (3, 13),
    reason="before 3.13 the child may find locks of Python taken for ever by threads it does not have",
)
def test_fork_while_other_threads_are_inside_the_library():
    run_script(OTHER_THREAD, "20")


OBJECTS = """
import asyncio, logging, multiprocessing, os, queue, socket, sys, threading, time, warnings
import subinterpreters as si

warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads
kind, state = sys.argv[1:]

interp, other = si.create(isolation=kind), si.create(isolation=kind)
recv, send = si.create_channel()
full_recv, full = si.create_channel(1)
full.send("first")
nothing, one = si.create_queue(), si.create_queue(1)
one.put("first")
lock, rlock, condition, barrier = si.Lock(), si.RLock(), si.Condition(), si.Barrier(50)
semaphore, bounded, event = si.Semaphore(0), si.BoundedSemaphore(1), si.Event()
bounded.acquire()
lock.acquire(), rlock.acquire()

def make(send):
    import socket, subinterpreters
    shared = subinterpreters.SharedBuffer(4)
    memoryview(shared)[:] = b"abcd"
    a, b = socket.socketpair()
    send.send((bytearray(b"lent"), shared, a, b))

carry_recv, carry = si.create_channel()
interp.call(make, carry)
view, shared, left, right = carry_recv.recv(timeout=10)

logged = si.create(isolation=kind)
logger = logging.getLogger("of the child")
logger.propagate = False
records = []
handler = logging.Handler()
handler.emit = records.append
logger.addHandler(handler)
listener = si.log_to_parent(logged, logger)

def one_call(obj):
    return obj

done = other.submit(one_call, 5)
assert done.result(10) == 5
pending, threads, results = None, [], queue.SimpleQueue()

def begin(function, *args):
    def run():
        results.put((function.__name__, function(*args)))
    threads.append(threading.Thread(target=run, daemon=True))
    threads[-1].start()

def wait_for_one():
    with condition:
        return condition.wait()

def in_loop():
    async def wait():
        return await asyncio.gather(recv.recv_async(), nothing.get_async())
    return asyncio.run(wait())

def all_sleep():
    ids = [t.native_id for t in threading.enumerate() if t is not threading.current_thread()]
    for number in ids:
        with open(f"/proc/self/task/{number}/stat") as stat:
            if stat.read().rpartition(")")[2].split()[0] != "S":
                return False
    return True

def be_waited_for():
    for function, *args in [(recv.recv,), (full.send, 2), (si.select, recv), (nothing.get,),
                            (one.put, 2), (lock.acquire,), (rlock.acquire,), (semaphore.acquire,),
                            (bounded.acquire,), (event.wait,), (wait_for_one,), (barrier.wait,),
                            (in_loop,)]:
        begin(function, *args)
    looks = 0
    while looks < 3:
        looks = looks + 1 if all_sleep() else 0
        time.sleep(0.001)

def wait_there(event, told):
    told.send(None)
    return event.wait()

if state == "waiting":
    be_waited_for()
elif state == "running":
    told_recv, told = si.create_channel()
    begin(interp.call, wait_there, event, told)
    pending = other.submit(wait_there, event, told)
    later = other.submit(one_call, 6)
    for _ in range(2):
        told_recv.recv(timeout=10)

ERRORS = RuntimeError, si.InterpreterError, si.ChannelError, si.QueueError

def refused(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except ERRORS as error:
        assert "this one was forked from" in str(error), (function, error)
    else:
        raise AssertionError(f"{function} was not refused")

def refused_in_loop(function, *args):
    async def run():
        await function(*args)
    refused(asyncio.run, run())

def check_child():
    for each in interp, other:
        refused(each.exec, "1")
        refused(each.exec, "1", timeout=5)
        refused(each.call, one_call, 1)
        refused(each.call, one_call, 1, timeout=5)
        refused(each.submit, one_call, 1)
        refused(each.call_in_thread, one_call, 1)
        refused_in_loop(each.call_async, one_call, 1)
        refused(each.prepare_main, x=1)
        refused(each.interrupt)
        refused(each.stats)
        refused(each.close)
        refused(each.close, None)
        refused(each.close, 1)
        refused(each.__exit__, None, None, None)
        refused(si.log_to_parent, each)
        assert not each.is_running()
    for each in full, send:
        refused(each.send, 2)
        refused(each.send_buffer, b"2")
        refused(each.send_nowait, 2)
        refused_in_loop(each.send_async, 2)
        refused(si.select, (each, 2))
    for each in recv, full_recv:
        refused(each.recv)
        refused(each.recv, 1)
        refused(each.recv_nowait)
        refused(next, each)
        refused_in_loop(each.recv_async)
        refused(si.select, each)
    for each in nothing, one:
        refused(each.put, 2)
        refused(each.get)
        refused(each.get_nowait)
        refused_in_loop(each.get_async)
        refused_in_loop(each.put_async, 1)
    for each in lock, rlock, condition:
        refused(each.acquire)
        refused(each.acquire, False)
        refused(each.release)
        refused(each.__enter__)
    refused(lock.reset)
    for each in semaphore, bounded:
        refused(each.acquire)
        refused(each.release)
    for call in (event.wait, event.set, event.clear, event.is_set, condition.wait, condition.notify_all,
                 barrier.wait, barrier.abort, barrier.reset):
        refused(call)
    refused(condition.wait_for, int)
    assert done.result(0) == 5
    if pending is not None:
        refused(pending.result)
        refused(later.result)
    listener.stop()
    # what is memory, or a descriptor, is the child's as well
    assert bytes(view) == b"lent" and bytes(shared) == b"abcd"
    memoryview(shared)[0] = 0
    left.sendall(b"x")
    assert right.recv(1) == b"x"
    new_recv, new_send = si.create_channel()
    with si.create(isolation=kind) as new:
        assert new.submit(one_call, [7]).result(10) == [7]
        assert new.call(one_call, 8, timeout=10) == 8
        new_send.send(shared)
        assert bytes(new_recv.recv(timeout=5)) == bytes(shared)
        new_lock = si.Lock()
        new.prepare_main(lock=new_lock, send=new_send)
        new.exec("with lock: send.send(lock.locked())")
        assert new_recv.recv(timeout=5) is True

def fork_and_exit():
    pid = os.fork()
    if pid == 0:
        check_child()
        sys.exit()
    wait_for(pid)

def fork_and_exit_at_once():
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            check_child()
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(code)
    wait_for(pid)

def fork_by_multiprocessing():
    process = multiprocessing.get_context("fork").Process(target=check_child)
    process.start()
    process.join()
    assert process.exitcode == 0, process.exitcode

def wait_for(pid):
    _, status = os.waitpid(pid, 0)
    assert status == 0, status

def check_parent():
    if state == "waiting":
        assert len(recv) == 0 and barrier.n_waiting == 1
        for _ in range(3):  # recv, select and the loop
            send.send(1)
        for _ in range(2):
            nothing.put(1)
            assert full_recv.recv(timeout=5) in ("first", 2) and one.get(timeout=5) in ("first", 2)
        lock.release(), rlock.release(), semaphore.release(), bounded.release()
        with condition:
            condition.notify()
        event.set()
        for _ in range(50 - 1):
            begin(barrier.wait)
    event.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    if state == "waiting":
        assert results.qsize() == len(threads), results.qsize()
    if state == "running":
        assert pending.result(10) is True and later.result(10) == 6
    assert other.submit(one_call, 9).result(10) == 9
    assert bytes(view) == b"lent" and bytes(shared) == b"abcd"
    logged.exec("import logging; logging.getLogger('of the child').warning('one')")
    logged.close()
    listener.stop(10)
    assert [record.getMessage() for record in records] == ["one"], records
    interp.close(10)
    other.close(10)

fork_and_exit_at_once()
fork_by_multiprocessing()
fork_and_exit()
check_parent()
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", ["idle", "waiting", "running"])
def test_objects_in_the_child(state: str, kind: str) -> None:
    assert not run_script(OBJECTS, kind, state, timeout=2 * WAIT).stderr
