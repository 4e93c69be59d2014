# SPDX-License-Identifier: MIT
"""Bad arguments to every public entry point: an exception that says what is wrong, and no harm done.

PARAMETERS has all of them. What is not there fails test_every_entry_point_is_here.
"""

import asyncio
import importlib
import inspect
import logging
import math
import sys
import threading
from concurrent.futures import CancelledError
from contextlib import suppress
from queue import Empty, Full

import pytest
from support import KINDS, LONG, WAIT, Unsendable, run_script, start

import subinterpreters as si

xx = importlib.import_module("_xxsubinterpreters")  # ours, see conftest.py

# ---- what there is ------------------------------------------------------------------------------

# name: its parameters, each with its kind: see BAD. As in signatures, those before `/` have no names.
PARAMETERS = {
    "Barrier": "parties:positive action:action timeout:seconds",
    "Barrier.abort": "",
    "Barrier.reset": "",
    "Barrier.wait": "timeout:seconds",
    "BoundedSemaphore": "value:count",
    "BoundedSemaphore.acquire": "blocking:flag timeout:seconds",
    "BoundedSemaphore.release": "n:positive",
    "Condition": "lock:lock",
    "Condition.acquire": "blocking:flag timeout:seconds_or_minus_one",
    "Condition.locked": "",
    "Condition.notify": "n:index",
    "Condition.notify_all": "",
    "Condition.release": "",
    "Condition.wait": "timeout:seconds",
    "Condition.wait_for": "predicate:callable timeout:seconds",
    "Event": "",
    "Event.clear": "",
    "Event.is_set": "",
    "Event.set": "",
    "Event.wait": "timeout:seconds",
    "Interpreter": "id:interpreter_id /",
    "Interpreter.call": "callable:callable / *args:object **kwargs:object",
    "Interpreter.call_async": "callable:callable / *args:object **kwargs:object",
    "Interpreter.call_in_thread": "callable:callable / *args:object **kwargs:object",
    "Interpreter.close": "timeout:seconds",
    "Interpreter.exec": "code:code / * timeout:seconds",
    "Interpreter.interrupt": "exc:exception /",
    "Interpreter.is_running": "",
    "Interpreter.prepare_main": "ns:namespace / **kwargs:object",
    "Interpreter.stats": "",
    "Interpreter.submit": "callable:callable / *args:object **kwargs:object",
    "InterpreterPoolExecutor": "max_workers:number_or_none thread_name_prefix:text initializer:action "
    "initargs:iterable * isolation:isolation max_tasks_per_child:number_or_none name:text "
    "warm:flag cancel_running:flag",
    "InterpreterPoolExecutor.map": "fn:callable *iterables:iterable * timeout:patience "
    "chunksize:number_or_none buffersize:number_or_none task_timeout:patience progress:progress",
    "InterpreterPoolExecutor.shutdown": "wait:flag * cancel_futures:flag",
    "InterpreterPoolExecutor.stats": "",
    "InterpreterPoolExecutor.submit": "fn:callable / *args:object **kwargs:object",
    "Lock": "",
    "Lock.acquire": "blocking:flag timeout:seconds_or_minus_one",
    "Lock.locked": "",
    "Lock.release": "",
    "Lock.reset": "",
    "LogListener": "interp:interpreter recv:recv send:send logger:logger",
    "LogListener.stop": "timeout:seconds",
    "Queue": "id:queue_id /",
    "Queue.empty": "",
    "Queue.full": "",
    "Queue.get": "block:flag timeout:seconds",
    "Queue.get_async": "",
    "Queue.get_nowait": "",
    "Queue.put": "obj:object block:flag timeout:seconds * unbounditems:unbound",
    "Queue.put_async": "obj:object * unbounditems:unbound",
    "Queue.put_nowait": "obj:object * unbounditems:unbound",
    "Queue.qsize": "",
    "RLock": "",
    "RLock.acquire": "blocking:flag timeout:seconds_or_minus_one",
    "RLock.locked": "",
    "RLock.release": "",
    "RLock.reset": "",
    "RecvChannel": "",
    "RecvChannel.close": "",
    "RecvChannel.recv": "timeout:seconds",
    "RecvChannel.recv_async": "",
    "RecvChannel.recv_nowait": "default:anything /",
    "Semaphore": "value:count",
    "Semaphore.acquire": "blocking:flag timeout:seconds",
    "Semaphore.release": "n:positive",
    "SendChannel": "",
    "SendChannel.close": "",
    "SendChannel.send": "obj:object / timeout:seconds",
    "SendChannel.send_async": "obj:object /",
    "SendChannel.send_buffer": "obj:buffer / timeout:seconds",
    "SendChannel.send_nowait": "obj:object /",
    "SharedBuffer": "nbytes:count",
    "create": "* isolation:isolation name:text site:site",
    "create_channel": "capacity:count_or_none",
    "create_queue": "maxsize:index * unbounditems:unbound",
    "get_current": "",
    "get_include": "",
    "get_library": "",
    "get_main": "",
    "get_reserve_count": "",
    "get_reserve_limit": "",
    "is_shareable": "obj:anything /",
    "list_all": "",
    "log_to_parent": "interp:interpreter logger:logger * level:level",
    "select": "*cases:case timeout:seconds",
    "select_async": "*cases:case",
    "set_reserve_limit": "limit:limit /",
    "warm_reserve": "count:spares /",
}

LEGACY = {
    "ChannelID": "",
    "InterpreterID": "id:legacy_interpreter * force:unforced",
    "_channel_id": "id:legacy_channel * send:flag recv:flag force:unforced _resolve:flag",
    "channel_close": "cid:legacy_channel * send:flag recv:flag force:unforced",
    "channel_create": "",
    "channel_destroy": "cid:legacy_channel",
    "channel_list_all": "",
    "channel_list_interpreters": "cid:legacy_channel * send:flag",
    "channel_recv": "cid:legacy_channel default:anything",
    "channel_release": "cid:legacy_channel * send:flag recv:flag force:unforced",
    "channel_send": "cid:legacy_channel obj:legacy_object",
    "create": "* isolated:isolated",
    "destroy": "id:legacy_interpreter",
    "get_current": "",
    "get_main": "",
    "is_running": "id:legacy_interpreter",
    "is_shareable": "obj:anything",
    "list_all": "",
    "run_string": "id:legacy_interpreter script:script shared:shared",
}

# Special methods of our own. Those with arguments get them from Python, but for __exit__, which ignores them.
SPECIAL = {"__aiter__", "__bool__", "__buffer__", "__enter__", "__eq__", "__exit__", "__ge__"}
SPECIAL |= {"__gt__", "__hash__", "__index__", "__init__", "__int__", "__iter__", "__le__"}
SPECIAL |= {
    "__len__",
    "__lt__",
    "__ne__",
    "__new__",
    "__next__",
    "__reduce__",
    "__release_buffer__",
}
SPECIAL |= {"__repr__", "__str__"}


def own_names(cls):
    """The names of the class's attributes that `object` does not have."""
    return {
        name
        for each in cls.__mro__
        for name, value in vars(each).items()
        if each is not object and (callable(value) or not name.startswith("__"))
    }


def is_attribute(cls, name):
    value = inspect.getattr_static(cls, name)
    return not callable(value) or isinstance(value, type)


def entry_points(module, names):
    for name in names:
        obj = getattr(module, name)
        if isinstance(obj, type) and not issubclass(obj, BaseException):
            yield name
            for method in own_names(obj):
                if not method.startswith("_") and not is_attribute(obj, method):
                    yield f"{name}.{method}"
        elif callable(obj) and not isinstance(obj, type):
            yield name


LEGACY_NAMES = [name for name in vars(xx) if not name.startswith("__")]


def test_every_entry_point_is_here():
    assert set(entry_points(si, si.__all__)) == set(PARAMETERS)
    assert set(entry_points(xx, LEGACY_NAMES)) == set(LEGACY)
    for module, names in (si, si.__all__), (xx, LEGACY_NAMES):
        for each in (getattr(module, name) for name in names):
            if isinstance(each, type) and issubclass(each, BaseException):
                own = set(vars(each)) - {"__doc__", "__module__", "__weakref__"}
                assert own <= {"__static_attributes__", "__firstlineno__"}, each
            elif isinstance(each, type):
                special = {name for name in own_names(each) if name.startswith("__")}
                assert special <= SPECIAL, each


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name):
    try:
        signature = inspect.signature(resolve(si, name))
    except ValueError:
        assert name in ("Interpreter.close", "Interpreter.interrupt", "RecvChannel.recv_nowait")
        return  # their defaults cannot be told
    told = [each for each in signature.parameters.values() if each.name != "self"]
    described = parameters_of(PARAMETERS[name])
    assert [each.name for each in told] == [each.name for each in described]
    for each, mine in zip(told, described, strict=True):
        assert each.kind in (mine.kind, mine.POSITIONAL_OR_KEYWORD), each


def test_attributes_cannot_be_set():
    classes = [getattr(si, name) for name in si.__all__ if isinstance(getattr(si, name), type)]
    classes.remove(si.InterpreterPoolExecutor)  # it is written in Python
    found = [receiver_of(cls.__name__) for cls in classes if not issubclass(cls, BaseException)]
    for receiver in [*found, a_legacy_channel()]:
        for name in own_names(type(receiver)):
            if not name.startswith("_") and is_attribute(type(receiver), name):
                with pytest.raises(AttributeError):
                    setattr(receiver, name, 5)
        finish(receiver)


def resolve(module, name):
    obj = module
    for part in name.split("."):
        obj = getattr(obj, part)
    return obj


class Described(inspect.Parameter):
    __slots__ = ("values",)


def parameters_of(text):
    """The parameters in a line of PARAMETERS."""
    words = text.split()
    last_unnamed = words.index("/") if "/" in words else -1
    first_keyword = words.index("*") if "*" in words else len(words)
    found = []
    for k, word in enumerate(words):
        if ":" not in word:
            continue
        name, values = word.split(":")
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        if name.startswith("**"):
            kind = inspect.Parameter.VAR_KEYWORD
        elif name.startswith("*"):
            kind = inspect.Parameter.VAR_POSITIONAL
            first_keyword = k
        elif k < last_unnamed:
            kind = inspect.Parameter.POSITIONAL_ONLY
        elif k > first_keyword:
            kind = inspect.Parameter.KEYWORD_ONLY
        described = Described(name.lstrip("*"), kind)
        described.values = values
        found.append(described)
    return found


# ---- good values -----------------------------------------------------------------------------------

interpreter = None  # one for each test, which is made anew when the test has closed it


@pytest.fixture(autouse=True)
def an_interpreter():
    global interpreter
    yield
    if interpreter is not None:
        interpreter.close(WAIT)
    interpreter = None


pool = None  # the same


@pytest.fixture(autouse=True)
def a_pool():
    global pool
    yield
    if pool is not None:
        pool.shutdown()
    pool = None


def an_open_pool():
    global pool
    if pool is None or pool._shutdown:
        pool = si.InterpreterPoolExecutor(1)
    return pool


def an_open_interpreter():
    global interpreter
    try:
        interpreter.is_running()
    except (AttributeError, si.InterpreterClosedError):
        interpreter = si.create()
    return interpreter


def a_channel(items=1):
    recv, send = si.create_channel()
    for item in range(items):
        send.send(item)
    return recv, send


def a_queue():
    items = si.create_queue()
    items.put(1)
    return items


def acquired(made):
    made.acquire()
    return made


def an_event():
    event = si.Event()
    event.set()
    return event


def receiver_of(cls, method=""):
    """An object that the method can be called of, and returns at once."""
    if cls in ("Lock", "RLock", "Condition"):
        made = getattr(si, cls)()
        waits = method in ("acquire", "reset", "locked")
        return made if waits or not method else acquired(made)
    return {
        "Barrier": lambda: si.Barrier(1),
        "BoundedSemaphore": lambda: si.BoundedSemaphore(),
        "Event": an_event,
        "Interpreter": an_open_interpreter,
        "InterpreterPoolExecutor": an_open_pool,
        "LogListener": lambda: si.log_to_parent(an_open_interpreter()),
        "Queue": a_queue,
        "RecvChannel": lambda: Both(*a_channel()).recv_end,
        "Semaphore": si.Semaphore,
        "SendChannel": lambda: Both(*a_channel()).send_end,
        "SharedBuffer": lambda: si.SharedBuffer(4),
    }[cls]()


kept = []  # the other ends of channels, for as long as a test runs


@pytest.fixture(autouse=True)
def nothing_kept():
    yield
    kept.clear()


class Both:
    """Both ends of a channel, which stays open while there is one."""

    def __init__(self, recv, send):
        self.recv_end, self.send_end = recv, send
        kept.append(self)


def reported(thread_of, *args, **kwargs):
    """What a thread raised."""
    errors = []
    before = threading.excepthook
    threading.excepthook = lambda told: errors.append(told.exc_value)
    try:
        thread_of(*args, **kwargs).join(WAIT)
    finally:
        threading.excepthook = before
    for error in errors:
        raise error


async def in_time(method, *args, **kwargs):
    return await asyncio.wait_for(method(*args, **kwargs), WAIT)


def target(name):
    """The function that makes the call, and the object whose method it is."""
    cls, _, method = name.partition(".")
    if not method:
        function = getattr(si, name)
        if name.endswith("_async"):
            return lambda *args, **kwargs: asyncio.run(in_time(function, *args, **kwargs)), None
        return function, None
    receiver = receiver_of(cls, method)
    bound = getattr(receiver, method)
    if method == "submit":
        return lambda *args, **kwargs: bound(*args, **kwargs).result(WAIT), receiver
    if method == "map":
        return lambda *args, **kwargs: list(bound(*args, **kwargs)), receiver
    if method == "call_in_thread":
        return lambda *args, **kwargs: reported(bound, *args, **kwargs), receiver
    if method.endswith("_async"):
        return lambda *args, **kwargs: asyncio.run(in_time(bound, *args, **kwargs)), receiver
    return bound, receiver


def good(values):
    """A value that does."""
    simple = {
        "action": None,
        "anything": None,
        "buffer": bytearray(5),
        "callable": bool,
        "code": "pass",
        "count": 1,
        "count_or_none": 1,
        "exception": KeyboardInterrupt,
        "flag": True,
        "index": 1,
        "interpreter_id": 0,
        "isolated": True,
        "isolation": None,
        "iterable": (0,),
        "legacy_object": 5,
        "level": None,
        "limit": si.get_reserve_limit(),
        "lock": None,
        "logger": None,
        "namespace": None,
        "number_or_none": 1,
        "object": 5,
        "patience": WAIT,
        "positive": 1,
        "progress": None,
        "script": "pass",
        "seconds": 0.01,
        "seconds_or_minus_one": 0.01,
        "shared": None,
        "site": None,
        "spares": 0,
        "text": "name",
        "unforced": False,
        "unbound": si.UNBOUND,
    }
    if values in simple:
        return simple[values]
    made = {
        "case": lambda: receiver_of("RecvChannel"),
        "interpreter": an_open_interpreter,
        "legacy_channel": a_legacy_channel,
        "legacy_interpreter": a_legacy_interpreter,
        "queue_id": lambda: keep(a_queue()).id,
        "recv": lambda: si.create_channel()[0],
        "send": lambda: si.create_channel()[1],
    }
    return made[values]()


def keep(obj):
    kept.append(obj)
    return obj


legacy_ids = []


def a_legacy_channel():
    cid = keep(xx.channel_create())
    xx.channel_send(cid, 1)
    legacy_ids.append(cid)
    return cid


def a_legacy_interpreter():
    return keep(xx.create())


@pytest.fixture(autouse=True)
def no_legacy_channels():
    yield
    while legacy_ids:
        with suppress(xx.ChannelNotFoundError):
            xx.channel_destroy(legacy_ids.pop())


# ---- bad values ------------------------------------------------------------------------------------


class Bad:
    """A value and the exceptions that it may be answered with, which say what came."""

    def __init__(self, make, *errors, says=None):
        self.make, self.errors, self.says = make, errors, says

    def check(self, error, value):
        assert isinstance(error, self.errors), repr(error)
        words = [self.says] if self.says else [type(value).__name__, repr_of(value)]
        if isinstance(value, int):
            words.append(hex(value)[:20])  # instead of very many digits
        assert any(word in str(error) for word in words), f"{error!r} does not say any of {words}"


def repr_of(value):
    try:
        return repr(value)[:30]
    except ValueError:  # too many digits
        return hex(value)[:30]


def values(error, *given, says=None):
    return [Bad(lambda value=value: value, error, says=says) for value in given]


class Plain:
    """Nothing that anybody wants."""


HUGE = (2**64, 10**5000, -(2**70))
WORDS = values(TypeError, None, "1", b"1", 1.5, [], Plain())
NO_NUMBER = [each for each in WORDS if each.make() is not None]
ANY_NUMBER = [each for each in NO_NUMBER if each.make() != 1.5] + values(TypeError, 1j)
TOO_LARGE = values(OverflowError, *HUGE, says="int")


def released_view():
    view = memoryview(bytearray(2))
    view.release()
    return view


def nested(make, depth=100_000):
    """What is nested so deeply that recursion in C would overflow the stack."""
    obj = 5
    for _ in range(depth):
        obj = make(obj)
    return keep(obj)


def chained():
    error = ValueError()
    for _ in range(100_000):
        error, inner = ValueError(), error
        error.__context__ = inner
    return [error, threading.Lock()]


NO_DEPTH = (RecursionError, si.NotShareableError)
UNSENDABLE = [
    Bad(threading.Lock, si.NotShareableError, says="lock"),
    Bad(lambda: [[threading.Lock()]], si.NotShareableError, says="lock"),
    Bad(lambda: {"key": {threading.Lock()}}, si.NotShareableError, says="lock"),
    Bad(lambda: (each for each in ""), si.NotShareableError, says="generator"),
    Bad(sys._getframe, si.NotShareableError, says="frame"),
    Bad(lambda: Unsendable(OSError), si.NotShareableError, says="as told"),
    Bad(released_view, si.NotShareableError, ValueError, says="memoryview"),
    Bad(lambda: nested(lambda obj: [obj]), *NO_DEPTH, says="sending"),
    Bad(lambda: nested(lambda obj: (obj,)), *NO_DEPTH, says="sending"),
    Bad(lambda: nested(lambda obj: {1: obj}), *NO_DEPTH, says="sending"),
    Bad(lambda: nested(lambda obj: {"a": obj, "b": 1}), *NO_DEPTH, says="sending"),
    Bad(lambda: nested(lambda obj: frozenset([obj])), *NO_DEPTH, says="sending"),
    Bad(chained, si.NotShareableError, says="lock"),
]
NEGATIVE = values(ValueError, -1, -0.001, -math.inf, math.nan, -(10**300))
NOT_CALLABLE = values(TypeError, 5, "x", [], 1.5)
NO_TEXT = values(TypeError, 5, b"x", [], Plain())
NULL = [*values(ValueError, "a\0b", says="null"), *values(UnicodeEncodeError, "\udc80")]
UNBOUND = [each for word in (5, "UNBOUND", 1.5, False) for each in values(ValueError, word)]
CASES = [
    *values(TypeError, None, 5, "x", (), [], (1, 2, 3)),
    Bad(lambda: (a_channel()[1],), TypeError),
]
CASES += [Bad(lambda: (a_channel()[0], 1), TypeError), Bad(lambda: a_channel()[1], TypeError)]

LEGACY_ID = [*values(TypeError, None, "1", 1.5, [], Plain()), *values(ValueError, -1)]
LEGACY_ID += values(OverflowError, *HUGE, says="int")

SECONDS = [*ANY_NUMBER, *NEGATIVE, *values(OverflowError, 10**400, says="int")]

BAD = {
    "action": NOT_CALLABLE,
    "anything": [],
    "buffer": [*values(TypeError, None, 5, "x", Plain()), Bad(released_view, si.NotShareableError)],
    "callable": [*NOT_CALLABLE, *values(TypeError, None)],
    "case": CASES,
    "code": [*values(TypeError, None, 5, b"pass", [], bool), *NULL]
    + [Bad(lambda: good_function, TypeError, ValueError, says="argument")],
    "count": [*WORDS, *values(ValueError, -1), *TOO_LARGE],
    "count_or_none": [*NO_NUMBER, *values(ValueError, -1), *TOO_LARGE],
    "exception": [
        *values(TypeError, None, 5, "x", ValueError()),
        *values(TypeError, int, says="int"),
    ],
    "flag": [],
    "unforced": [],
    "index": [*WORDS, *TOO_LARGE],
    "interpreter": values(TypeError, None, 5, "x", Plain()),
    "interpreter_id": [*WORDS, *values(ValueError, -1, -(2**70))]
    + values(si.InterpreterNotFoundError, 2**62, 2**63, 2**64, 10**5000),
    "isolated": [*WORDS, *TOO_LARGE],
    "isolation": [*NO_TEXT, *NULL, *values(ValueError, "", "none", "main", "OWN")],
    "iterable": values(TypeError, None, 5, 1.5, Plain()),
    "legacy_channel": [*LEGACY_ID, *values(xx.ChannelNotFoundError, 2**62)],
    "legacy_interpreter": [*LEGACY_ID, *values(RuntimeError, 2**62)],
    "legacy_object": values(ValueError, 1.5, [], {}, 1j)
    + values(OverflowError, 2**64, says="bytes"),
    "level": [*values(ValueError, "LOUD", "\udc80"), *values(TypeError, 1.5, [], b"x")],
    "limit": [*WORDS, *values(ValueError, -1, 257, *HUGE)],
    "lock": [*values(TypeError, 5, "x"), Bad(threading.Lock, TypeError), Bad(si.Event, TypeError)],
    "logger": values(TypeError, 5, "x", logging.Handler()),
    "namespace": [*values(TypeError, 5, 1.5, Plain()), *values(TypeError, {5: 1}, says="int")]
    + values(TypeError, [(1, 2)], says="int")
    + values(ValueError, ["abc"], says="length 3")
    + [Bad(lambda: {"x": threading.Lock()}, si.NotShareableError, says="lock")],
    "number_or_none": [*NO_NUMBER, *values(ValueError, 0, -1, -(2**70))],
    "object": UNSENDABLE,
    "positive": [*WORDS, *values(ValueError, 0, -1), *TOO_LARGE],
    "patience": SECONDS,
    "progress": values(TypeError, 5, "x", [], False),
    "queue_id": [*WORDS, *values(si.QueueNotFoundError, -1, 2**62, *HUGE)],
    "recv": [*values(TypeError, None, 5, Plain()), Bad(lambda: si.create_channel()[1], TypeError)],
    "script": [*values(TypeError, None, 5, b"pass", []), *NULL],
    "seconds": SECONDS,
    "seconds_or_minus_one": [*ANY_NUMBER, *values(ValueError, -2, -0.001, math.nan)]
    + values(OverflowError, 10**400, says="int"),
    "send": [*values(TypeError, None, 5, Plain()), Bad(lambda: si.create_channel()[0], TypeError)],
    "shared": [*values(MemoryError, 5, "x", []), *values(TypeError, {5: 1}, says="str")]
    + values(ValueError, {"x": [1]}, says="[1]"),
    "site": [*NO_TEXT, *NULL, *values(ValueError, "", "none", "INHERIT")],
    "spares": [*WORDS, *values(ValueError, -1, 257, *HUGE)],
    "text": [*NO_TEXT, *NULL],
    "unbound": UNBOUND,
}


def good_function(one, two):
    return one + two


def arguments(described, **given):
    """Positional and named arguments, all of them good, but for those given."""
    args, kwargs = [], {}
    for each in described:
        if each.name not in given and each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            if each.values in ("case", "iterable"):
                args.append(good(each.values))
            continue
        value = given[each.name] if each.name in given else good(each.values)
        if each.kind is each.VAR_KEYWORD:
            kwargs["keyword"] = value
        elif each.kind is each.KEYWORD_ONLY:
            kwargs[each.name] = value
        else:
            args.append(value)
    return args, kwargs


def finish(result):
    """What a call has made does not stay."""
    if isinstance(result, si.LogListener):
        result.stop(WAIT)
    elif isinstance(result, si.InterpreterPoolExecutor) and result is not pool:
        result.shutdown()
    elif isinstance(result, si.Interpreter) and result != si.get_main():
        result.close()


def is_usable(receiver):
    """Whether the receiver of a call that failed is as before."""
    if isinstance(receiver, si.Interpreter):
        return receiver.call(len, "abc") == 3
    if isinstance(receiver, si.InterpreterPoolExecutor):
        return receiver._shutdown or receiver.submit(len, "abc").result(WAIT) == 3
    if isinstance(receiver, si.Queue):
        return receiver.qsize() == 1 and receiver.get_nowait() == 1
    if isinstance(receiver, si.RecvChannel):
        return receiver.recv_nowait() == 0
    if isinstance(receiver, si.SendChannel):
        return len(receiver) == 1
    if isinstance(receiver, si.LogListener):
        receiver.stop(WAIT)
    return repr(receiver) != ""


def with_parameters(table):
    return [name for name, text in table.items() if parameters_of(text)]


@pytest.mark.parametrize("name", with_parameters(PARAMETERS))
def test_bad_values(name):
    described = parameters_of(PARAMETERS[name])
    for parameter in described:
        for bad in BAD[parameter.values]:
            value = bad.make()
            function, receiver = target(name)
            args, kwargs = arguments(described, **{parameter.name: value})
            with pytest.raises(Exception) as caught:
                finish(function(*args, **kwargs))
            bad.check(caught.value, value)
            if name != "Interpreter.close":
                assert is_usable(receiver)
            caught = value = args = kwargs = None


@pytest.mark.parametrize("name", with_parameters(LEGACY))
def test_bad_values_of_the_legacy_module(name):
    described = parameters_of(LEGACY[name])
    for parameter in described:
        for bad in BAD[parameter.values]:
            value = bad.make()
            args, kwargs = arguments(described, **{parameter.name: value})
            with pytest.raises(Exception) as caught:
                getattr(xx, name)(*args, **kwargs)
            bad.check(caught.value, value)


# ---- how arguments are given -----------------------------------------------------------------------


def refused(function, *args, **kwargs):
    with pytest.raises(TypeError) as caught:
        finish(function(*args, **kwargs))
    assert str(caught.value)


def named_wrongly(function, described):
    args, kwargs = arguments(described)
    kinds = {each.kind for each in described}
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        refused(function, *args, **kwargs, nothing=1)
        refused(function, *args, **kwargs, **{"\udc80": 1})
        refused(function, *args, **kwargs, **{"": 1})
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        refused(function, *args, *[None] * 20, **kwargs)
    for k, each in enumerate(described):
        if each.kind is each.POSITIONAL_ONLY and inspect.Parameter.VAR_KEYWORD not in kinds:
            refused(function, *args[:k], **{each.name: args[k]}, **kwargs)
        if each.kind is each.POSITIONAL_OR_KEYWORD:
            refused(function, *args, **{each.name: args[k]}, **kwargs)
        if each.kind is each.KEYWORD_ONLY and not {each.VAR_POSITIONAL} & kinds:
            refused(function, *args, kwargs[each.name], **kwargs)
        if each.values in ("object", "buffer", "callable", "code") and each.kind <= 1:
            refused(function)


@pytest.mark.parametrize("name", PARAMETERS)
def test_arguments_that_are_named_wrongly(name):
    if name in ("RecvChannel", "SendChannel"):
        return refused(getattr(si, name))
    function, receiver = target(name)
    named_wrongly(function, parameters_of(PARAMETERS[name]))
    return finish(receiver) if isinstance(receiver, si.LogListener) else None


@pytest.mark.parametrize("name", LEGACY)
def test_arguments_of_the_legacy_module_that_are_named_wrongly(name):
    if name == "ChannelID":
        return refused(xx.ChannelID)
    return named_wrongly(getattr(xx, name), parameters_of(LEGACY[name]))


# ---- values whose methods are evil ------------------------------------------------------------------


class Told(Exception):
    """What evil methods raise."""


HOOKS = (
    "__index__",
    "__float__",
    "__bool__",
    "__eq__",
    "__hash__",
    "__iter__",
    "__len__",
    "__call__",
)
HOOKS += ("__str__", "__repr__", "__reduce_ex__", "__del__", "keys")


def evil(action, base=object, *args):
    """An object all of whose methods are `action`."""

    def hook(self, *args, **kwargs):
        return action()

    return type("Evil", (base,), dict.fromkeys(HOOKS, hook))(*args)


def raises():
    raise Told("as told")


def returns_nonsense():
    return [Plain()]


def everything_evil(action):
    yield evil(action)
    yield evil(action, int, 1)
    yield evil(action, str, "pass")
    yield evil(action, float, 0.01)
    yield evil(action, bytearray, b"x")
    yield evil(action, dict)
    yield evil(action, tuple)
    yield [evil(action)]
    yield {"x": evil(action)}


# What a call with such a value may raise; all else is a fault, such as SystemError.
EXPECTED = (Told, TypeError, ValueError, OverflowError, si.InterpreterError, si.ChannelError)
EXPECTED += (si.QueueError, TimeoutError, Empty, Full, si.BrokenBarrierError, RecursionError)
EXPECTED += (CancelledError, si.BrokenInterpreterPool)
EXPECTED += (LookupError, xx.ChannelError, xx.RunFailedError)


def is_expected(error):
    return isinstance(error, EXPECTED) or type(error) in (RuntimeError, MemoryError)


MODULES = {"": (si, PARAMETERS), "_xxsubinterpreters.": (xx, LEGACY)}
ALL = [each + name for each, (_, table) in MODULES.items() for name in with_parameters(table)]


def call_with(module, name, described, parameter, value):
    """Call it with a value that it may take or refuse."""
    function, receiver = target(name) if module is si else (getattr(xx, name), None)
    args, kwargs = arguments(described, **{parameter: value})
    try:
        finish(function(*args, **kwargs))
    except Exception as error:  # noqa: BLE001
        assert is_expected(error), repr(error)
    if isinstance(receiver, si.LogListener):
        receiver.stop(WAIT)
    if module is si and name.startswith("Interpreter."):
        assert an_open_interpreter().call(len, "abc") == 3


@pytest.mark.parametrize("name", ALL)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_values_with_evil_methods(name):
    prefix = next(each for each in reversed(MODULES) if name.startswith(each))
    module, table = MODULES[prefix]
    name = name.removeprefix(prefix)
    described = parameters_of(table[name])
    for parameter in described:
        for action in raises, returns_nonsense:
            for value in everything_evil(action):
                call_with(module, name, described, parameter.name, value)


class Acts:
    """A value whose methods do something, once, and then return what is good."""

    def __init__(self, act):
        self.act = act

    def _act(self):
        act, self.act = self.act, lambda: None
        act()

    def __float__(self):
        self._act()
        return 0.01

    def __index__(self):
        self._act()
        return 1

    def __bool__(self):
        self._act()
        return True

    def __hash__(self):
        self._act()
        return 1

    def __eq__(self, other):
        self._act()
        return self is other

    def __call__(self, *args):
        self._act()

    def __iter__(self):
        self._act()
        return iter(())

    def keys(self):
        self._act()
        return ()

    def __reduce_ex__(self, protocol):
        self._act()
        return bool, ()


ACTIONS = {
    "Barrier": [lambda b: b.wait(0.01), lambda b: b.abort(), lambda b: b.reset()],
    "Interpreter": [lambda i: i.close(), lambda i: i.exec("x = 1"), lambda i: i.submit(len, "")],
    "LogListener": [lambda each: each.stop()],
    "Queue": [lambda q: q.put_nowait(1), lambda q: q.get_nowait()],
    "RecvChannel": [
        lambda r: r.close(),
        lambda r: r.recv_nowait(),
        lambda r: kept[-1].send_end.close(),
    ],
    "SendChannel": [
        lambda s: s.close(),
        lambda s: s.send_nowait(1),
        lambda s: kept[-1].recv_end.close(),
    ],
    "SharedBuffer": [],
    "InterpreterPoolExecutor": [
        lambda p: p.shutdown(),
        lambda p: p.shutdown(wait=False, cancel_futures=True),
        lambda p: p.submit(int),
        lambda p: list(p.map(int, [1])),
    ],
    "Event": [lambda e: e.set(), lambda e: e.clear()],
}
LOCKS = [
    lambda x: x.acquire(False),
    lambda x: x.release(),
    lambda x: x.acquire(False) and x.release(),
]
for each in "Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore":
    ACTIONS[each] = LOCKS
METHODS = [name for name in with_parameters(PARAMETERS) if "." in name]


@pytest.mark.parametrize("name", METHODS)
def test_values_that_use_the_object_under_the_call(name):
    described = parameters_of(PARAMETERS[name])
    for parameter in described:
        for action in ACTIONS[name.partition(".")[0]]:
            function, receiver = target(name)
            value = Acts(lambda action=action, receiver=receiver: action(receiver))
            args, kwargs = arguments(described, **{parameter.name: value})
            try:
                start(function, *args, **kwargs).result(WAIT)
            except Exception as error:  # noqa: BLE001
                assert is_expected(error), repr(error)
            if isinstance(receiver, si.LogListener):
                receiver.stop(WAIT)


def test_values_that_destroy_what_they_are_the_id_of():
    def an_id(of, act):
        return type("Id", (Acts,), {"__index__": lambda self: self._act() or int(of)})(act)

    for name in ("run_string", "destroy", "is_running"):
        interp = xx.create()
        rest = ["pass"] if name == "run_string" else []
        with pytest.raises(RuntimeError, match="unrecognized interpreter ID"):
            getattr(xx, name)(an_id(interp, lambda interp=interp: xx.destroy(interp)), *rest)
    for name in (
        "channel_send",
        "channel_recv",
        "channel_close",
        "channel_release",
        "channel_destroy",
    ):
        cid = xx.channel_create()
        rest = [1] if name == "channel_send" else []
        with pytest.raises(xx.ChannelNotFoundError):
            getattr(xx, name)(an_id(cid, lambda cid=cid: xx.channel_destroy(cid)), *rest)


def test_what_a_time_out_raises_is_not_lost():
    for new in si.Lock, si.RLock, si.Condition, si.Semaphore:
        one = new()
        with pytest.raises(Told):
            one.acquire(timeout=Acts(raises))
        assert one.acquire(timeout=Acts(lambda: None))


# ---- large and cyclic --------------------------------------------------------------------------------


def test_cyclic_objects():
    recv, send = si.create_channel()
    cycle = []
    cycle.append({"key": (cycle,)})
    error = ValueError("x")
    error.__cause__ = error.__context__ = error
    error.args = ([error],)
    for obj in cycle, [error], {1: cycle, 2: error}:
        send.send(obj)
        assert type(recv.recv()) is type(obj)
    assert an_open_interpreter().call(len, cycle) == 1
    with pytest.raises(ValueError):
        an_open_interpreter().call(raise_it, error)


def raise_it(error):
    raise error


def test_a_payload_of_1_gb():
    size = 1 << 30
    recv, send = si.create_channel()
    for lend in (lambda: send.send_buffer(bytes(size)), lambda: send.send(si.SharedBuffer(size))):
        lend()
        assert len(recv.recv_nowait()) == size
    assert an_open_interpreter().call(len, si.SharedBuffer(size)) == size
    if LONG:  # copying it takes seconds
        send.send(bytes(size))
        assert len(recv.recv_nowait()) == size


def test_a_payload_that_there_is_no_memory_for():
    run_script("""
        import resource
        import subinterpreters as si

        def limit(more):
            with open("/proc/self/statm") as f:
                used = int(f.read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + more, resource.RLIM_INFINITY))

        def out_of_memory(function, *args):
            try:
                function(*args)
            except MemoryError:
                return
            raise AssertionError("no MemoryError")

        recv, send = si.create_channel()
        queue = si.create_queue()
        interp = si.create()
        data = bytes(1 << 30)  # which takes no memory as long as nobody reads it
        limit(512 << 20)
        send.send(data)  # lent: it is the receiver that has no room for a copy
        queue.put([data])
        send.send_nowait(5)
        for _ in range(2):  # it stays the first one
            out_of_memory(recv.recv)
            out_of_memory(queue.get)
        out_of_memory(interp.call, len, data)
        out_of_memory(interp.submit(len, data).result)
        out_of_memory(si.SharedBuffer, 1 << 30)
        out_of_memory(interp.call, bytes, 1 << 30)
        assert interp.call(len, "abc") == 3
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert len(recv.recv()) == len(queue.get()[0]) == len(data)
        assert recv.recv_nowait() == 5 and queue.empty()
        interp.close()
    """)


@pytest.mark.parametrize("kind", KINDS)
def test_names(kind):
    for name in "", "ü" * 1000, "a/b\n", "\N{SNAKE}":
        with si.create(isolation=kind, name=name) as interp:
            assert interp.name == (name or f"interpreter-{interp.id}")
