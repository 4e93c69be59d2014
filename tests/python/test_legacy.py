# SPDX-License-Identifier: MIT
"""_xxsubinterpreters: each row is what CPython 3.11.7's own module answers.

A row is code and its outcome: the repr of the last expression, or the exception. In the code x is
the module, i an interpreter, c a channel, and s the start of a script in which they are x and C.
"""

import importlib
import re
from typing import Any

import pytest
from support import WAIT, start

x: Any = importlib.import_module("_xxsubinterpreters")

ROWS = {
    "interpreters": [
        ("x.get_main()", "InterpreterID(0)"),
        ("x.get_current()", "InterpreterID(0)"),
        ("x.list_all() == [x.get_main(), i]", "True"),
        ("type(x.create()) is x.InterpreterID", "True"),
        ("x.create(1)", "TypeError: create() takes no positional arguments"),
        ("x.create(isolated='x')", "TypeError: 'str' object cannot be interpreted as an integer"),
        ("x.get_main(1)", "TypeError: _xxsubinterpreters.get_main() takes no arguments (1 given)"),
        ("x.is_running(x.get_main())", "True"),
        ("x.is_running(i)", "False"),
        ("x.is_running(int(i))", "False"),
        ("x.is_running(id=i)", "False"),
        ("x.is_running(10**6)", "RuntimeError: unrecognized interpreter ID 1000000"),
        ("x.is_running(-1)", "ValueError: interpreter ID must be a non-negative int, got -1"),
        ("x.is_running(10**30)", "OverflowError: int too big to convert"),
        ("x.is_running('1')", "TypeError: interpreter ID must be an int, got str"),
        ("x.is_running(1.0)", "TypeError: interpreter ID must be an int, got float"),
        ("x.is_running(None)", "TypeError: interpreter ID must be an int, got NoneType"),
        ("x.is_running()", "TypeError: is_running() missing required argument 'id' (pos 1)"),
        ("x.destroy(i)", "None"),
        ("x.destroy(i); x.is_running(i)", "RuntimeError: unrecognized interpreter ID {i}"),
        ("x.destroy(i); x.destroy(i)", "RuntimeError: unrecognized interpreter ID {i}"),
        ("x.destroy(i); x.run_string(i, '')", "RuntimeError: unrecognized interpreter ID {i}"),
        ("x.destroy(int(i)); i in x.list_all()", "False"),
        ("x.destroy(id=i)", "None"),
        ("x.destroy(x.get_main())", "RuntimeError: cannot destroy the current interpreter"),
        ("x.destroy(10**6)", "RuntimeError: unrecognized interpreter ID 1000000"),
        ("x.destroy(-1)", "ValueError: interpreter ID must be a non-negative int, got -1"),
        ("x.destroy('1')", "TypeError: interpreter ID must be an int, got str"),
        ("x.destroy()", "TypeError: destroy() missing required argument 'id' (pos 1)"),
    ],
    "run_string": [
        ("x.run_string(i, '1')", "None"),
        ("x.run_string(i, '')", "None"),
        ("x.run_string(id=i, script='1', shared=None)", "None"),
        ("x.run_string(int(i), 'a = 1')", "None"),
        ("x.run_string(i, 'a = 1'); x.run_string(i, 'a')", "None"),
        ("x.run_string(i, 'b')", "RunFailedError: <class 'NameError'>: name 'b' is not defined"),
        (
            "x.run_string(i, '1 / 0')",
            "RunFailedError: <class 'ZeroDivisionError'>: division by zero",
        ),
        ("x.run_string(i, 'raise SystemExit(1)')", "RunFailedError: <class 'SystemExit'>: 1"),
        (
            "x.run_string(i, 'raise KeyboardInterrupt')",
            "RunFailedError: <class 'KeyboardInterrupt'>: ",
        ),
        ("x.run_string(i, 'raise ValueError')", "RunFailedError: <class 'ValueError'>: "),
        (
            "x.run_string(i, 'class E(Exception): pass\\nraise E(1, 2)')",
            "RunFailedError: <class '__main__.E'>: (1, 2)",
        ),
        (
            "x.run_string(i, 'raise OSError(2, \"no\")')",
            "RunFailedError: <class 'FileNotFoundError'>: [Errno 2] no",
        ),
        (
            "x.run_string(i, 'import no_such_module')",
            "RunFailedError: <class 'ModuleNotFoundError'>: No module named 'no_such_module'",
        ),
        ("x.run_string(i, 'assert False')", "RunFailedError: <class 'AssertionError'>: "),
        ("x.run_string(x.get_main(), '1')", "RuntimeError: interpreter already running"),
        ("x.run_string(10**6, '1')", "RuntimeError: unrecognized interpreter ID 1000000"),
        ("x.run_string(-1, '1')", "ValueError: interpreter ID must be a non-negative int, got -1"),
        ("x.run_string('1', '1')", "TypeError: interpreter ID must be an int, got str"),
        ("x.run_string(i, 1)", "TypeError: run_string() argument 2 must be str, not int"),
        ("x.run_string(i, b'1')", "TypeError: run_string() argument 2 must be str, not bytes"),
        ("x.run_string(i, None)", "TypeError: run_string() argument 2 must be str, not None"),
        ("x.run_string(i, 'a\\0b')", "ValueError: source code string cannot contain null bytes"),
        (
            "x.run_string(i, '\\udc80')",
            (
                "UnicodeEncodeError: 'utf-8' codec can't encode character '\\udc80' in position "
                "0: surrogates not allowed"
            ),
        ),
        ("x.run_string(i)", "TypeError: run_string() missing required argument 'script' (pos 2)"),
        ("x.run_string()", "TypeError: run_string() missing required argument 'id' (pos 1)"),
        ("x.run_string(i, 'assert a == 1', {'a': 1})", "None"),
        (
            (
                "x.run_string(i, 'assert (a, b, c) == (\"\\\\xe9\", b\"b\", None)', {'a': "
                "'\\xe9', 'b': b'b', 'c': None})"
            ),
            "None",
        ),
        ("x.run_string(i, 'assert int(a) == %d' % c, {'a': c})", "None"),
        ("x.run_string(i, '1', {})", "None"),
        (
            "x.run_string(i, '1', {'a': []})",
            "ValueError: [] does not support cross-interpreter data",
        ),
        (
            "x.run_string(i, '1', {'a': 1.5})",
            "ValueError: 1.5 does not support cross-interpreter data",
        ),
        (
            "x.run_string(i, '1', {'a': True})",
            "ValueError: True does not support cross-interpreter data",
        ),
        (
            "x.run_string(i, '1', {'a': (1,)})",
            "ValueError: (1,) does not support cross-interpreter data",
        ),
        ("x.run_string(i, '1', {'a': 2**63})", "OverflowError: try sending as bytes"),
    ],
    "is_shareable": [
        (
            "[x.is_shareable(o) for o in (None, 1, -2**63, 2**100, b'', '', '\\udc80', c, c.send)]",
            "[True, True, True, True, True, True, True, True, True]",
        ),
        (
            (
                "[x.is_shareable(o) for o in (True, 1.5, (), [], {}, object(), int, 1j, i, "
                "bytearray())]"
            ),
            "[False, False, False, False, False, False, False, False, False, False]",
        ),
        ("x.is_shareable(obj=1)", "True"),
        ("x.is_shareable()", "TypeError: is_shareable() missing required argument 'obj' (pos 1)"),
    ],
    "InterpreterID": [
        (
            "x.InterpreterID(i), str(x.InterpreterID(int(i))) == str(int(i))",
            "(InterpreterID({i}), True)",
        ),
        ("x.InterpreterID(10**6)", "RuntimeError: unrecognized interpreter ID 1000000"),
        ("x.InterpreterID(10**6, force=True)", "InterpreterID(1000000)"),
        ("x.InterpreterID(-1)", "ValueError: interpreter ID must be a non-negative int, got -1"),
        (
            "x.InterpreterID(-1, force=True)",
            "ValueError: interpreter ID must be a non-negative int, got -1",
        ),
        ("x.InterpreterID('1')", "TypeError: interpreter ID must be an int, got str"),
        ("x.InterpreterID(1.0)", "TypeError: interpreter ID must be an int, got float"),
        ("x.InterpreterID(10**30)", "OverflowError: int too big to convert"),
        ("x.InterpreterID(True, force=True)", "InterpreterID(1)"),
        (
            "x.InterpreterID()",
            "TypeError: InterpreterID.__init__() missing required argument 'id' (pos 1)",
        ),
        (
            "x.InterpreterID(1, True)",
            "TypeError: InterpreterID.__init__() takes at most 1 positional argument (2 given)",
        ),
        (
            "int(i) == i, i == int(i), i != int(i), i == float(i), i == i, i == x.InterpreterID(i)",
            "(True, True, False, True, True, True)",
        ),
        ("i == str(i), i == None, i == 10**30, i != object()", "(False, False, False, True)"),
        ("hash(i) == hash(int(i)), {i: 1}[int(i)]", "(True, 1)"),
        ("[0, 1, 2][x.get_main()]", "0"),
        ("x.ChannelID.__name__, x.ChannelID.__module__", "('ChannelID', '_xxsubinterpreters')"),
    ],
    "channels: ids": [
        ("c", "ChannelID({c})"),
        (
            "c.send, c.recv, c.end, c.send.end, c.recv.end",
            "(ChannelID({c}, send=True), ChannelID({c}, recv=True), 'both', 'send', 'recv')",
        ),
        (
            "str(c) == str(c.send) == str(int(c)), int(c.recv) == c, c.send.recv, c.send.send",
            "(True, True, ChannelID({c}, recv=True), ChannelID({c}, send=True))",
        ),
        (
            "c == int(c), c.send == int(c), c == c.send, c.send == c.send, c != c.recv",
            "(True, True, False, True, True)",
        ),
        ("c == float(c), c == 'a', c == None, c == x._channel_id(c)", "(True, False, False, True)"),
        ("hash(c) == hash(int(c)) == hash(c.send)", "True"),
        (
            "c < c",
            (
                "TypeError: '<' not supported between instances of '_xxsubinterpreters.ChannelID' "
                "and '_xxsubinterpreters.ChannelID'"
            ),
        ),
        (
            "x._channel_id(int(c)), x._channel_id(c), x._channel_id(c.send)",
            "(ChannelID({c}), ChannelID({c}), ChannelID({c}))",
        ),
        (
            (
                "x._channel_id(c, send=True), x._channel_id(c, recv=True), x._channel_id(c, "
                "send=True, recv=True)"
            ),
            "(ChannelID({c}, send=True), ChannelID({c}, recv=True), ChannelID({c}))",
        ),
        (
            "x._channel_id(c, send=False), x._channel_id(c, recv=False)",
            "(ChannelID({c}), ChannelID({c}))",
        ),
        (
            "x._channel_id(c, send=True, recv=False), x._channel_id(c, send=False, recv=True)",
            "(ChannelID({c}, send=True), ChannelID({c}, recv=True))",
        ),
        (
            "x._channel_id(c, send=False, recv=False)",
            "ValueError: 'send' and 'recv' cannot both be False",
        ),
        ("x._channel_id(10**6)", "ChannelNotFoundError: channel 1000000 not found"),
        (
            "x._channel_id(10**6, force=True), x._channel_id(10**6, send=True, force=True)",
            "(ChannelID(1000000), ChannelID(1000000, send=True))",
        ),
        ("x._channel_id(-1)", "ValueError: channel ID must be a non-negative int, got -1"),
        ("x._channel_id('1')", "TypeError: channel ID must be an int, got str"),
        ("x._channel_id(1.0)", "TypeError: channel ID must be an int, got float"),
        ("x._channel_id(10**30)", "OverflowError: int too big to convert"),
        (
            "x._channel_id()",
            "TypeError: ChannelID.__new__() missing required argument 'id' (pos 1)",
        ),
        (
            "x._channel_id(c, 1)",
            "TypeError: ChannelID.__new__() takes at most 1 positional argument (2 given)",
        ),
        (
            "x.ChannelID(int(c))",
            "TypeError: cannot create '_xxsubinterpreters.ChannelID' instances",
        ),
        (
            "[type(x.ChannelID.__dict__[n]).__name__ for n in ('end', 'send', 'recv')]",
            "['getset_descriptor', 'getset_descriptor', 'getset_descriptor']",
        ),
        (
            "c.end = 1",
            (
                "AttributeError: attribute 'end' of '_xxsubinterpreters.ChannelID' objects is not "
                "writable"
            ),
        ),
    ],
    "channels: sending": [
        ("x.channel_send(c, 1)", "None"),
        ("x.channel_send(cid=c, obj=1)", "None"),
        ("x.channel_send(int(c), 1); x.channel_recv(c)", "1"),
        ("x.channel_send(c.recv, 1); x.channel_recv(c.send)", "1"),
        (
            (
                "[x.channel_send(c, o) for o in (None, 1, -2**63, 2**63-1, b'b', "
                "'\\u20ac\\udc80', c.send)]; [x.channel_recv(c) for _ in range(7)]"
            ),
            (
                "[None, 1, -9223372036854775808, 9223372036854775807, b'b', '€\\udc80', "
                "ChannelID({c}, send=True)]"
            ),
        ),
        ("x.channel_send(c, c); x.channel_recv(c)", "ChannelID({c})"),
        ("x.channel_send(c, True)", "ValueError: True does not support cross-interpreter data"),
        ("x.channel_send(c, [])", "ValueError: [] does not support cross-interpreter data"),
        ("x.channel_send(c, 1.5)", "ValueError: 1.5 does not support cross-interpreter data"),
        (
            "x.channel_send(c, (1, 'a'))",
            "ValueError: (1, 'a') does not support cross-interpreter data",
        ),
        ("x.channel_send(c, 2**63)", "OverflowError: try sending as bytes"),
        ("x.channel_send(c, -2**63 - 1)", "OverflowError: try sending as bytes"),
        (
            "x.channel_send(c, object)",
            "ValueError: <class 'object'> does not support cross-interpreter data",
        ),
        ("x.channel_send(10**6, 1)", "ChannelNotFoundError: channel 1000000 not found"),
        ("x.channel_send(-1, 1)", "ValueError: channel ID must be a non-negative int, got -1"),
        ("x.channel_send('1', 1)", "TypeError: channel ID must be an int, got str"),
        ("x.channel_send(c)", "TypeError: channel_send() missing required argument 'obj' (pos 2)"),
        ("x.channel_recv(c)", "ChannelEmptyError: channel {c} is empty"),
        ("x.channel_recv(c, 'default')", "'default'"),
        ("x.channel_recv(c, default=None)", "None"),
        ("x.channel_recv(c, int)", "<class 'int'>"),
        ("x.channel_recv(10**6)", "ChannelNotFoundError: channel 1000000 not found"),
        ("x.channel_recv(10**6, None)", "ChannelNotFoundError: channel 1000000 not found"),
        ("x.channel_recv(-1)", "ValueError: channel ID must be a non-negative int, got -1"),
        ("x.channel_recv('1')", "TypeError: channel ID must be an int, got str"),
        ("x.channel_recv()", "TypeError: channel_recv() missing required argument 'cid' (pos 1)"),
        (
            "c in x.channel_list_all(), [d.end for d in x.channel_list_all() if d == c]",
            "(True, ['both'])",
        ),
    ],
    "channels: closing": [
        ("x.channel_close(c)", "None"),
        ("x.channel_close(c); x.channel_close(c)", "ChannelClosedError: channel {c} closed"),
        ("x.channel_close(c); x.channel_send(c, 1)", "ChannelClosedError: channel {c} closed"),
        ("x.channel_close(c); x.channel_send(c, [])", "ChannelClosedError: channel {c} closed"),
        ("x.channel_close(c); x.channel_recv(c)", "ChannelClosedError: channel {c} closed"),
        ("x.channel_close(c); x.channel_recv(c, 1)", "ChannelClosedError: channel {c} closed"),
        ("x.channel_close(c); x.channel_release(c)", "ChannelClosedError: channel {c} closed"),
        (
            "x.channel_close(c); x.channel_list_interpreters(c, send=True)",
            "ChannelClosedError: channel {c} closed",
        ),
        ("x.channel_close(c); c in x.channel_list_all()", "True"),
        ("x.channel_close(c); x._channel_id(c)", "ChannelID({c})"),
        (
            "x.channel_send(c, 1); x.channel_close(c)",
            "ChannelNotEmptyError: may not be closed if not empty (try force=True)",
        ),
        (
            "x.channel_send(c, 1); x.channel_close(c, recv=True)",
            "ChannelNotEmptyError: may not be closed if not empty (try force=True)",
        ),
        (
            "x.channel_send(c, 1); x.channel_close(c, recv=True, send=True)",
            "ChannelNotEmptyError: may not be closed if not empty (try force=True)",
        ),
        ("x.channel_send(c, 1); x.channel_close(c, send=True)", "None"),
        (
            "x.channel_send(c, 1); x.channel_close(c, send=True); x.channel_send(c, 2)",
            "ChannelClosedError: channel {c} closed",
        ),
        ("x.channel_send(c, 1); x.channel_close(c, send=True); x.channel_recv(c)", "1"),
        (
            (
                "x.channel_send(c, 1); x.channel_close(c, send=True); x.channel_recv(c); "
                "x.channel_recv(c)"
            ),
            "ChannelClosedError: channel {c} closed",
        ),
        (
            (
                "x.channel_send(c, 1); x.channel_close(c, send=True); x.channel_recv(c); "
                "x.channel_send(c, 1)"
            ),
            "ChannelClosedError: channel {c} closed",
        ),
        (
            "x.channel_send(c, 1); x.channel_close(c, send=True); x.channel_close(c)",
            "ChannelNotEmptyError: may not be closed if not empty (try force=True)",
        ),
        (
            "x.channel_send(c, 1); x.channel_close(c, send=True); x.channel_close(c, send=True)",
            "ChannelClosedError: channel {c} closed",
        ),
        (
            "x.channel_send(c, 1); x.channel_close(c, send=True); x.channel_close(c, force=True)",
            "None",
        ),
        (
            "x.channel_send(c, 1); x.channel_close(c, force=True); x.channel_recv(c)",
            "ChannelClosedError: channel {c} closed",
        ),
        (
            "x.channel_send(c, 1); x.channel_close(c, force=True); x.channel_send(c, 1)",
            "ChannelClosedError: channel {c} closed",
        ),
        (
            "x.channel_send(c, 1); x.channel_close(c, send=True, force=True); x.channel_recv(c)",
            "ChannelClosedError: channel {c} closed",
        ),
        (
            "x.channel_send(c, 1); x.channel_close(c, recv=True, force=True); x.channel_recv(c)",
            "ChannelClosedError: channel {c} closed",
        ),
        (
            "x.channel_close(c, send=True); x.channel_recv(c)",
            "ChannelClosedError: channel {c} closed",
        ),
        (
            "x.channel_close(c, recv=True); x.channel_send(c, 1)",
            "ChannelClosedError: channel {c} closed",
        ),
        ("x.channel_close(c.send)", "None"),
        ("x.channel_close(c.send); x.channel_recv(c)", "ChannelClosedError: channel {c} closed"),
        ("x.channel_close(cid=c, send=None, recv=None, force=False)", "None"),
        (
            "x.channel_close(c, True)",
            "TypeError: channel_close() takes at most 1 positional argument (2 given)",
        ),
        ("x.channel_close(10**6)", "ChannelNotFoundError: channel 1000000 not found"),
        ("x.channel_close(-1)", "ValueError: channel ID must be a non-negative int, got -1"),
        ("x.channel_close('1')", "TypeError: channel ID must be an int, got str"),
        ("x.channel_close()", "TypeError: channel_close() missing required argument 'cid' (pos 1)"),
    ],
    "channels: releasing": [
        ("x.channel_release(c)", "None"),
        ("x.channel_send(c, 1); x.channel_release(c, send=True)", "None"),
        (
            "x.channel_send(c, 1); x.channel_release(c, send=True); x.channel_recv(c)",
            "ChannelClosedError: channel {c} closed",
        ),
        (
            (
                "x.channel_send(c, 1); x.channel_recv(c); x.channel_release(c, send=True); "
                "x.channel_recv(c)"
            ),
            "ChannelEmptyError: channel {c} is empty",
        ),
        (
            (
                "x.channel_send(c, 1); x.channel_recv(c); x.channel_release(c, recv=True); "
                "x.channel_send(c, 1)"
            ),
            "None",
        ),
        (
            "x.channel_send(c, 1); x.channel_recv(c); x.channel_release(c); x.channel_send(c, 1)",
            "ChannelClosedError: channel {c} closed",
        ),
        (
            "x.channel_send(c, 1); x.channel_release(c); x.channel_recv(c)",
            "ChannelClosedError: channel {c} closed",
        ),
        (
            "x.channel_release(c, send=True); x.channel_release(c, send=True)",
            "ChannelClosedError: channel {c} closed",
        ),
        (
            "x.channel_release(c, send=True); x.channel_send(c, 1)",
            "ChannelClosedError: channel {c} closed",
        ),
        (
            "x.channel_release(c, recv=True); x.channel_recv(c)",
            "ChannelClosedError: channel {c} closed",
        ),
        (
            "x.channel_release(c, recv=True); x.channel_send(c, 1)",
            "ChannelClosedError: channel {c} closed",
        ),
        (
            "x.channel_send(c, 1); x.channel_release(c, send=True, recv=True); x.channel_recv(c)",
            "ChannelClosedError: channel {c} closed",
        ),
        (
            "x.channel_send(c, 1); x.channel_release(c, send=True, force=True); x.channel_recv(c)",
            "ChannelClosedError: channel {c} closed",
        ),
        (
            (
                "x.channel_send(c, 1); x.channel_recv(c); x.channel_release(c, send=True); "
                "x.channel_release(c, send=True); x.channel_list_interpreters(c, send=False)"
            ),
            "[InterpreterID(0)]",
        ),
        (
            (
                "x.run_string(i, s + 'x.channel_recv(C, 0)'); x.channel_send(c, 1); "
                "x.channel_release(c, send=True); x.channel_recv(c)"
            ),
            "1",
        ),
        (
            (
                "x.run_string(i, s + 'x.channel_recv(C, 0)'); x.channel_send(c, 1); "
                "x.channel_release(c, recv=True); x.channel_list_interpreters(c, send=False) == "
                "[i]"
            ),
            "True",
        ),
        ("x.channel_release(c.send); x.channel_recv(c)", "ChannelClosedError: channel {c} closed"),
        (
            "x.channel_release(c, True)",
            "TypeError: channel_release() takes at most 1 positional argument (2 given)",
        ),
        ("x.channel_release(10**6)", "ChannelNotFoundError: channel 1000000 not found"),
        (
            "x.channel_release()",
            "TypeError: channel_release() missing required argument 'cid' (pos 1)",
        ),
    ],
    "channels: interpreters": [
        (
            "x.channel_list_interpreters(c, send=True), x.channel_list_interpreters(c, send=False)",
            "([], [])",
        ),
        (
            (
                "x.channel_send(c, 1); x.channel_list_interpreters(c, send=True), "
                "x.channel_list_interpreters(c, send=False)"
            ),
            "([InterpreterID(0)], [])",
        ),
        (
            (
                "x.channel_recv(c, 1); x.channel_list_interpreters(c, send=True), "
                "x.channel_list_interpreters(c, send=False)"
            ),
            "([], [InterpreterID(0)])",
        ),
        (
            "x.channel_send(c, 1); x.channel_recv(c); x.channel_list_interpreters(c, send=False)",
            "[InterpreterID(0)]",
        ),
        (
            (
                "x.run_string(i, s + 'x.channel_send(C, 1)'); x.channel_list_interpreters(c, "
                "send=True) == [i]"
            ),
            "True",
        ),
        (
            (
                "x.run_string(i, s + 'x.channel_send(C, 1)'); x.channel_send(c, 1); "
                "sorted(map(int, x.channel_list_interpreters(c, send=True))) == [0, int(i)]"
            ),
            "True",
        ),
        (
            (
                "x.run_string(i, s + 'x.channel_send(C, 1)'); x.destroy(i); "
                "x.channel_list_interpreters(c, send=True)"
            ),
            "[]",
        ),
        (
            "x.channel_list_interpreters(c)",
            "TypeError: channel_list_interpreters() missing required argument 'send' (pos 2)",
        ),
        (
            "x.channel_list_interpreters(c, True)",
            "TypeError: channel_list_interpreters() takes exactly 1 positional argument (2 given)",
        ),
        (
            "x.channel_list_interpreters(10**6, send=True)",
            "ChannelNotFoundError: channel 1000000 not found",
        ),
        (
            "x.channel_list_interpreters('1', send=True)",
            "TypeError: channel ID must be an int, got str",
        ),
    ],
    "channels: destroying": [
        ("x.channel_destroy(c)", "None"),
        (
            "x.channel_destroy(c); x.channel_destroy(c)",
            "ChannelNotFoundError: channel {c} not found",
        ),
        (
            "x.channel_destroy(c); x.channel_send(c, 1)",
            "ChannelNotFoundError: channel {c} not found",
        ),
        ("x.channel_destroy(c); x.channel_recv(c)", "ChannelNotFoundError: channel {c} not found"),
        (
            "x.channel_destroy(c); x.channel_recv(c, 1)",
            "ChannelNotFoundError: channel {c} not found",
        ),
        ("x.channel_destroy(c); x.channel_close(c)", "ChannelNotFoundError: channel {c} not found"),
        (
            "x.channel_destroy(c); x.channel_release(c)",
            "ChannelNotFoundError: channel {c} not found",
        ),
        (
            "x.channel_destroy(c); x.channel_list_interpreters(c, send=True)",
            "ChannelNotFoundError: channel {c} not found",
        ),
        ("x.channel_destroy(c); c in x.channel_list_all()", "False"),
        (
            "x.channel_destroy(c); c.send, x._channel_id(c, force=True)",
            "(ChannelID({c}, send=True), ChannelID({c}))",
        ),
        ("x.channel_destroy(c); x._channel_id(c)", "ChannelNotFoundError: channel {c} not found"),
        ("x.channel_send(c, 1); x.channel_destroy(c)", "None"),
        ("x.channel_destroy(int(c))", "None"),
        ("x.channel_destroy(cid=c)", "None"),
        ("x.channel_destroy(10**6)", "ChannelNotFoundError: channel 1000000 not found"),
        ("x.channel_destroy(-1)", "ValueError: channel ID must be a non-negative int, got -1"),
        ("x.channel_destroy('1')", "TypeError: channel ID must be an int, got str"),
        (
            "x.channel_destroy()",
            "TypeError: channel_destroy() missing required argument 'cid' (pos 1)",
        ),
        ("n = int(c); del c; n in x.channel_list_all()", "False"),
        ("n = int(c); d = c.send; del c; n in x.channel_list_all()", "True"),
        (
            "x.channel_create(1)",
            "TypeError: _xxsubinterpreters.channel_create() takes no arguments (1 given)",
        ),
    ],
    "the module": [
        (
            "sorted(n for n in dir(x) if not n.startswith('__'))",
            (
                "['ChannelClosedError', 'ChannelEmptyError', 'ChannelError', 'ChannelID', "
                "'ChannelNotEmptyError', 'ChannelNotFoundError', 'InterpreterID', "
                "'RunFailedError', '_channel_id', 'channel_close', 'channel_create', "
                "'channel_destroy', 'channel_list_all', 'channel_list_interpreters', "
                "'channel_recv', 'channel_release', 'channel_send', 'create', 'destroy', "
                "'get_current', 'get_main', 'is_running', 'is_shareable', 'list_all', "
                "'run_string']"
            ),
        ),
    ],
}

# Where this module differs: the code, what 3.11.7 answers, what this one does.
DIFFERENCES = [
    (
        "type(x.get_main())",
        "<class 'InterpreterID'>",
        "<class '_xxsubinterpreters.InterpreterID'>",
    ),
    (
        "x.create(isolated=True) > x.get_main()",
        "TypeError: '>' not supported between instances of 'InterpreterID' and 'InterpreterID'",
        (
            "TypeError: '>' not supported between instances of '_xxsubinterpreters.InterpreterID' "
            "and '_xxsubinterpreters.InterpreterID'"
        ),
    ),
    (
        "x.run_string(i, 'x +')",
        (
            "RunFailedError: <class 'SyntaxError'>: ('invalid syntax', ('<string>', 1, 4, 'x "
            "+\\n', 1, 4))"
        ),
        "RunFailedError: <class 'SyntaxError'>: invalid syntax (<string>, line 1)",
    ),
    (
        "x.run_string(i, '1', {1: 1})",
        "TypeError: bad argument type for built-in operation",
        "TypeError: names to bind must be str, got int",
    ),
    (
        "x.run_string(i, '1', [])",
        "MemoryError: ",
        "MemoryError: shared must be a dict or None, got list",
    ),
    (
        "x.run_string(i, '1', 1)",
        "MemoryError: ",
        "MemoryError: shared must be a dict or None, got int",
    ),
    (
        "i < i",
        "TypeError: '<' not supported between instances of 'InterpreterID' and 'InterpreterID'",
        (
            "TypeError: '<' not supported between instances of '_xxsubinterpreters.InterpreterID' "
            "and '_xxsubinterpreters.InterpreterID'"
        ),
    ),
    (
        "i + 1",
        "TypeError: unsupported operand type(s) for +: 'InterpreterID' and 'int'",
        (
            "TypeError: unsupported operand type(s) for +: '_xxsubinterpreters.InterpreterID' and "
            "'int'"
        ),
    ),
    (
        "x.InterpreterID(i).id",
        "AttributeError: 'InterpreterID' object has no attribute 'id'",
        "AttributeError: '_xxsubinterpreters.InterpreterID' object has no attribute 'id'",
    ),
    (
        "class Sub(x.InterpreterID): pass; repr(Sub(0)), Sub(0) == x.get_main()",
        "a crash, or SystemError",
        "('InterpreterID(0)', True)",
    ),
    (
        "x.InterpreterID.__name__, x.InterpreterID.__module__",
        "('InterpreterID', 'builtins')",
        "('InterpreterID', '_xxsubinterpreters')",
    ),
    (
        "x.run_string(i, s + 'x.channel_send(C, 1)'); x.destroy(i); x.channel_recv(c)",
        "a crash, or SystemError",
        "1",
    ),
]

DOCS = {
    "": """\
This module provides primitive operations to manage Python interpreters.
The 'interpreters' module provides a more convenient interface.""",
    "ChannelClosedError": None,
    "ChannelEmptyError": None,
    "ChannelError": None,
    "ChannelID": "A channel ID identifies a channel and may be used as an int.",
    "ChannelNotEmptyError": None,
    "ChannelNotFoundError": None,
    "InterpreterID": "A interpreter ID identifies a interpreter and may be used as an int.",
    "RunFailedError": None,
    "_channel_id": None,
    "channel_close": """\
channel_close(cid, *, send=None, recv=None, force=False)

Close the channel for all interpreters.

If the channel is empty then the keyword args are ignored and both
ends are immediately closed.  Otherwise, if 'force' is True then
all queued items are released and both ends are immediately
closed.

If the channel is not empty *and* 'force' is False then following
happens:

 * recv is True (regardless of send):
   - raise ChannelNotEmptyError
 * recv is None and send is None:
   - raise ChannelNotEmptyError
 * send is True and recv is not True:
   - fully close the 'send' end
   - close the 'recv' end to interpreters not already receiving
   - fully close it once empty

Closing an already closed channel results in a ChannelClosedError.

Once the channel's ID has no more ref counts in any interpreter
the channel will be destroyed.""",
    "channel_create": """\
channel_create() -> cid

Create a new cross-interpreter channel and return a unique generated ID.""",
    "channel_destroy": """\
channel_destroy(cid)

Close and finalize the channel.  Afterward attempts to use the channel
will behave as though it never existed.""",
    "channel_list_all": """\
channel_list_all() -> [cid]

Return the list of all IDs for active channels.""",
    "channel_list_interpreters": """\
channel_list_interpreters(cid, *, send) -> [id]

Return the list of all interpreter IDs associated with an end of the channel.

The 'send' argument should be a boolean indicating whether to use the send or
receive end.""",
    "channel_recv": """\
channel_recv(cid, [default]) -> obj

Return a new object from the data at the front of the channel's queue.

If there is nothing to receive then raise ChannelEmptyError, unless
a default value is provided.  In that case return it.""",
    "channel_release": """\
channel_release(cid, *, send=None, recv=None, force=True)

Close the channel for the current interpreter.  'send' and 'recv'
(bool) may be used to indicate the ends to close.  By default both
ends are closed.  Closing an already closed end is a noop.""",
    "channel_send": """\
channel_send(cid, obj)

Add the object's data to the channel's queue.""",
    "create": """\
create() -> ID

Create a new interpreter and return a unique generated ID.""",
    "destroy": """\
destroy(id)

Destroy the identified interpreter.

Attempting to destroy the current interpreter results in a RuntimeError.
So does an unrecognized ID.""",
    "get_current": """\
get_current() -> ID

Return the ID of current interpreter.""",
    "get_main": """\
get_main() -> ID

Return the ID of main interpreter.""",
    "is_running": """\
is_running(id) -> bool

Return whether or not the identified interpreter is running.""",
    "is_shareable": """\
is_shareable(obj) -> bool

Return True if the object's data may be shared between interpreters and
False otherwise.""",
    "list_all": """\
list_all() -> [ID]

Return a list containing the ID of every existing interpreter.""",
    "run_string": """\
run_string(id, script, shared)

Execute the provided string in the identified interpreter.

See PyRun_SimpleStrings.""",
    "ChannelID.end": "'send', 'recv', or 'both'",
    "ChannelID.send": "the 'send' end of the channel",
    "ChannelID.recv": "the 'recv' end of the channel",
}


def outcome(code: str) -> str:
    i, c = x.create(), x.channel_create()
    interp, channel = int(i), int(c)
    script = f"import _xxsubinterpreters as x; C = {channel}; "
    names = {"x": x, "i": i, "c": c, "s": script}
    del i, c
    *setup, last = code.split("; ")
    try:
        for statement in setup:
            exec(statement, names)  # noqa: S102
        if last.startswith(("class ", "c.end = ")):
            exec(last, names)  # noqa: S102
            got = "None"
        else:
            got = repr(eval(last, names))
    except Exception as error:  # noqa: BLE001
        got = f"{type(error).__name__}: {error}"
    got = re.sub(rf"(InterpreterID\(|interpreter ID ){interp}\b", r"\1{i}", got)
    return re.sub(rf"(ChannelID\(|channel ){channel}\b", r"\1{c}", got)


@pytest.mark.parametrize(("code", "expected"), [row for rows in ROWS.values() for row in rows])
def test_as_in_3_11(code: str, expected: str) -> None:
    assert outcome(code) == expected


@pytest.mark.parametrize(("code", "in_3_11", "expected"), DIFFERENCES)
def test_not_as_in_3_11(code: str, in_3_11: str, expected: str) -> None:
    assert outcome(code) == expected != in_3_11


@pytest.mark.parametrize("name", DOCS)
def test_doc(name: str) -> None:
    found = x
    for part in filter(None, name.split(".")):
        found = getattr(found, part)
    assert found.__doc__ == DOCS[name]


def test_running() -> None:
    interp, told, wait = x.create(), x.channel_create(), x.channel_create()
    run = start(
        x.run_string,
        interp,
        "import _xxsubinterpreters as x\n"
        "x.channel_send(told, 1)\n"
        "while x.channel_recv(wait, None) is None: pass",
        {"told": told, "wait": wait},
    )
    while x.channel_recv(told, None) is None:
        pass
    assert x.is_running(interp)
    for forbidden in [lambda: x.run_string(interp, "1"), lambda: x.destroy(interp)]:
        with pytest.raises(RuntimeError, match="^interpreter already running$"):
            forbidden()
    x.channel_send(wait, 1)
    run.result(WAIT)
    assert not x.is_running(interp)
    x.destroy(interp)


def test_nobody_destroys_itself() -> None:
    interp = x.create()
    with pytest.raises(x.RunFailedError, match="cannot destroy the current interpreter"):
        x.run_string(interp, f"import _xxsubinterpreters as x; x.destroy({int(interp)})")
    with pytest.raises(RuntimeError, match="^cannot destroy the current interpreter$"):
        x.destroy(x.get_main())


def test_an_interpreter_goes_with_its_last_id() -> None:
    interp = x.create()
    number = int(interp)
    another = x.InterpreterID(number)
    del interp
    assert number in x.list_all()
    del another
    assert number not in x.list_all()


def test_shared_module_of_an_interpreter() -> None:
    interp, channel = x.create(), x.channel_create()
    script = "import _xxsubinterpreters as x; x.channel_send(c, x.channel_recv(c) * 2)"
    x.channel_send(channel, "ab")
    x.run_string(interp, script, {"c": channel})
    assert x.channel_recv(channel) == "abab"
    x.destroy(interp)
