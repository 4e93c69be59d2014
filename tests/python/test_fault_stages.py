# SPDX-License-Identifier: MIT
"""Each way to end, at each stage of a call: what the caller gets, and that the interpreter can go on.

What Python code can do is an exception for the caller. exit() of C and a crash end the process, since an
interpreter is not one.
"""

import _thread
import gc
import os
import signal
import sys
import threading

import pytest
from support import KINDS, WAIT, Reduced, run_program

from subinterpreters import ExecutionFailed, NotShareableError, create, create_channel

# ---- ways to end -----------------------------------------------------------------------------------


class Told(Exception):
    """What stages raise."""


class ToldAtOnce(BaseException):
    """What `except Exception` does not catch."""


def raise_exception():
    raise Told("as told")


def raise_base_exception():
    raise ToldAtOnce("as told")


def exit_python():
    raise SystemExit(3)


def exit_thread():
    _thread.exit()


def exit_process():
    import ctypes  # which on 3.12 refuses interpreters of kind own

    ctypes.CDLL(None).exit(7)


def exit_at_once():
    os._exit(7)


def crash():
    import ctypes

    ctypes.string_at(0)


ENDINGS = {
    "exception": (raise_exception, Told),
    "BaseException": (raise_base_exception, ToldAtOnce),
    "SystemExit": (exit_python, SystemExit),
    "_thread.exit": (exit_thread, SystemExit),
}
DEATHS = {
    "exit": (exit_process, 7),
    "_exit": (exit_at_once, 7),
    "SIGSEGV": (crash, -signal.SIGSEGV),
}

# ---- stages ----------------------------------------------------------------------------------------


class EndsInPickle:
    """An object that ends the one that pickles it."""

    def __init__(self, ending):
        self.ending = ending

    def __reduce__(self):
        return self.ending()


class EndsInDel:
    """An object whose finalizer ends."""

    def __init__(self, ending):
        self.ending = ending

    def __del__(self):
        self.ending()


def make_and_drop(ending):
    EndsInDel(ending)
    gc.collect()


def end_in_a_thread(ending):
    thread = threading.Thread(target=ending)
    thread.start()
    thread.join()


def pickle_argument(interp, ending):
    return interp.call(len, [EndsInPickle(ending)])


def unpickle_argument(interp, ending):
    return interp.call(len, [Reduced(ending)])


def call(interp, ending):
    return interp.call(ending)


def pickle_result(interp, ending):
    return interp.call(EndsInPickle, ending)


def unpickle_result(interp, ending):
    return interp.call(Reduced, ending)


def submitted(interp, ending):
    return interp.submit(ending).result(WAIT)


def submitted_result(interp, ending):
    return interp.submit(Reduced, ending).result(WAIT)


def in_time(interp, ending):
    return interp.call(ending, timeout=WAIT)


RAISING = [pickle_argument, unpickle_argument, call, pickle_result, unpickle_result]
RAISING += [submitted, submitted_result, in_time]


def finalizer(interp, ending):
    return interp.call(make_and_drop, ending)


def callback_of_a_future(interp, ending):
    """What callbacks raise, concurrent.futures logs or drops; the worker goes on."""
    done = threading.Event()

    def callback(future):
        done.set()
        ending()

    recv, send = create_channel()
    with recv, send:
        future = interp.submit(type(recv).recv, recv)
        future.add_done_callback(callback)  # now, for it to be the worker that calls it
        send.send(3)
        assert done.wait(WAIT) and future.result(WAIT) == 3


def other_thread(interp, ending):
    return interp.call(end_in_a_thread, ending)


QUIET = [finalizer, callback_of_a_future, other_thread]
STAGES = {stage.__name__: stage for stage in RAISING + QUIET}


@pytest.fixture(params=KINDS, scope="module")
def interp(request):
    with create(isolation=request.param) as each:
        yield each


def is_usable(interp):
    interp.exec("x = 1")
    return interp.call(len, "abc") == 3 == interp.submit(len, "abc").result(WAIT)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("stage", RAISING, ids=lambda stage: stage.__name__)
def test_the_caller_gets_it(interp, stage, ending):
    function, error = ENDINGS[ending]
    for _ in range(2):
        with pytest.raises(BaseException) as caught:
            stage(interp, function)
        if isinstance(caught.value, NotShareableError):
            assert stage in (pickle_argument, pickle_result)
        else:
            assert isinstance(caught.value, error)
            if stage in (unpickle_argument, call, submitted, in_time):
                assert isinstance(caught.value, ExecutionFailed)
        assert is_usable(interp)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("stage", QUIET, ids=lambda stage: stage.__name__)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.leaves_open  # pytest keeps records of the log, and what leads to the frames there
def test_it_is_nobodys(interp, stage, ending):
    function, _ = ENDINGS[ending]
    for _ in range(2):
        stage(interp, function)
        assert is_usable(interp)


DIES = """
import sys
import threading
sys.path.insert(0, sys.argv[1])
import subinterpreters as si
import test_fault_stages as stages

interp = si.create(isolation=sys.argv[2])
interp.call(len, "abc")
stages.STAGES[sys.argv[3]](interp, stages.DEATHS[sys.argv[4]][0])
threading.Event().wait(10)  # it may be another thread that ends the process
print("went on")
"""


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("stage", [call, unpickle_result, finalizer, callback_of_a_future])
def test_the_process_ends(stage, death):
    """These are documented: see the README's limits."""
    here = os.path.dirname(__file__)
    kind = KINDS[0 if sys.version_info[:2] != (3, 12) else -1]  # ctypes
    command = [sys.executable, "-P", "-c", DIES, here, kind, stage.__name__, death]
    done = run_program(command)
    assert done.returncode == DEATHS[death][1], done.stderr
    assert "went on" not in done.stdout
