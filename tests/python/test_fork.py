# SPDX-License-Identifier: MIT
"""A process that has interpreters forks: the child starts anew, the parent notices nothing."""

import sys

import pytest
from support import KINDS, run_script

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
