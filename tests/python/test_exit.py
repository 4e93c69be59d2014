# SPDX-License-Identifier: MIT
"""The process ends soon and with the right status, whatever its interpreters are doing."""

import subprocess
import sys
import time

import pytest
from support import CRASHES, KINDS, not_under_asan

SETUP = """
import atexit, sys, threading
import subinterpreters as si

kind = sys.argv[1]
interp = si.create(isolation=kind)
recv, send = si.create_channel()
started, ready = si.create_channel()
interp.prepare_main(recv=recv, send=send, ready=ready)

def start(code, daemon):
    t = threading.Thread(target=interp.exec, args=["ready.send(1)\\n" + code], daemon=daemon)
    t.start()
    started.recv()
"""

STATES = {
    "unclosed": "interp.exec('x = 1')",
    "queued items": "send.send_nowait(1); send.send_nowait((b'x' * 1000, recv, send))",
    "created in atexit": "atexit.register(lambda: si.create(isolation=kind).exec('x = 1'))",
    "used in atexit": "atexit.register(interp.exec, 'x = 1')",
    "closed in atexit": "atexit.register(interp.close)",
    "used in __del__": """
class C:
    def __init__(self): self.interp, self.errors = interp, si.InterpreterError
    def __del__(self):
        try: self.interp.exec("x = 1")
        except self.errors: pass
c = C()
""",
    "in a cycle": "cycle = [interp, recv, send]; cycle.append(cycle); del interp",
    "owned by an interpreter": """
interp.prepare_main(kind=kind)
interp.exec('import subinterpreters as si; i = si.create(isolation=kind)')
""",
    "sys.exit in a worker thread": """
def work():
    interp.exec("x = 1")
    sys.exit(7)
threading.Thread(target=work).start()
""",
    "daemon thread runs": "start('while True: pass', True)",
    "daemon thread waits": "start('recv.recv()', True)",
    "daemon thread waits in the main interpreter": """
threading.Thread(target=lambda: (ready.send(1), recv.recv()), daemon=True).start()
started.recv()
""",
    "thread runs": "start('while True: pass', False)",
    "thread waits": "start('recv.recv()', False)",
    "threads inside wait": """
interp.exec('''
import threading
threading.Thread(target=lambda: (ready.send(1), recv.recv())).start()
''')
started.recv()
""",
    "threads inside run": """
interp.exec('''
import threading
def loop():
    ready.send(1)
    while True: pass
for _ in range(2): threading.Thread(target=loop).start()
''')
started.recv(), started.recv()
""",
}
ENDINGS = {"falls off its end": ("", 0), "sys.exit": ("sys.exit(3)", 3), "raises": ("1 / 0", 1)}


def end(code, kind, *, within=6):
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-P", "-c", code, kind],
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
    )
    took = time.monotonic() - began
    told = f"\nreturncode {done.returncode} in {took:.1f} s\n{done.stdout}\n{done.stderr}"
    assert not any(crash in done.stderr for crash in CRASHES), told
    assert took < within, told
    return done, told


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("state", STATES)
def test_status(state, ending, kind):
    if kind == "shared" and state.endswith("thread runs") and sys.version_info < (3, 13):
        pytest.skip("on 3.12 it does not give the GIL up")
    code, status = ENDINGS[ending]
    done, told = end(f"{SETUP}\n{STATES[state]}\n{code}\n", kind)
    assert done.returncode == status, told
    assert "without finalizing" not in done.stderr, told
    assert (status == 1) == ("ZeroDivisionError" in done.stderr), told


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("daemon", [False, True])
@pytest.mark.parametrize("ending", ENDINGS)
def test_code_that_cannot_be_interrupted(ending, daemon, kind):
    """A message, and the end: of the status only whether an exception was reported is left."""
    code, status = ENDINGS[ending]
    done, told = end(f"{SETUP}\nstart('import time; time.sleep(1000)', {daemon})\n{code}\n", kind)
    if "without finalizing" in done.stderr:
        assert done.returncode in (0, 1), told
    else:
        assert done.returncode == status, told


FINITE = """
t = threading.Thread(target=interp.exec, args=['''
import time
ready.send(1)
end = time.monotonic() + 0.5
while time.monotonic() < end: pass
print("completed")
'''])
t.start()
started.recv()
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_thread_that_will_end_is_waited_for(ending, kind):
    code, status = ENDINGS[ending]
    done, told = end(f"{SETUP}\n{FINITE}\n{code}\n", kind)
    assert done.returncode == status, told
    assert "completed" in done.stdout, told
    assert "interrupted" not in done.stderr, told


IDLE_WORKERS = """
from concurrent.futures import ThreadPoolExecutor
executor = ThreadPoolExecutor(4)
list(executor.map(lambda _: threading.Event().wait(0.01), range(8)))
interp.exec('''
from concurrent.futures import ThreadPoolExecutor
executor = ThreadPoolExecutor(4)
list(executor.map(abs, range(8)))
''')
"""


@not_under_asan("takes the time")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_idle_workers_of_executors_do_not_delay(ending, kind):
    code, status = ENDINGS[ending]
    done, told = end(f"{SETUP}\n{IDLE_WORKERS}\n{code}\n", kind, within=1.5)
    assert done.returncode == status, told
    assert "subinterpreters:" not in done.stderr, told
