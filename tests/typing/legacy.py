# SPDX-License-Identifier: MIT
"""What type checkers make of a program that uses _xxsubinterpreters. It is checked, not run."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

import _xxsubinterpreters as interpreters
from _xxsubinterpreters import ChannelID, InterpreterID
from typing import Any, Literal, assert_type


def runs() -> None:
    id = interpreters.create(isolated=False)
    assert_type(id, InterpreterID)
    channel = interpreters.channel_create()
    shared = {"channel": channel.send}
    try:
        interpreters.run_string(id, "print(channel)", shared)
        interpreters.run_string(int(id), "pass", shared={"n": 1})
    except interpreters.RunFailedError as error:
        runtime_error: RuntimeError = error
        print(runtime_error)
    assert_type(interpreters.is_running(id), bool)
    assert_type(interpreters.list_all(), list[InterpreterID])
    assert_type(interpreters.get_current(), InterpreterID)
    assert_type(interpreters.get_main(), InterpreterID)
    assert_type(InterpreterID(0, force=True), InterpreterID)
    interpreters.destroy(id)


def channels() -> None:
    channel = interpreters.channel_create()
    assert_type(channel, ChannelID)
    assert_type(channel.end, Literal["send", "recv", "both"])
    interpreters.channel_send(channel, b"text")
    assert_type(interpreters.channel_recv(channel), Any)
    assert_type(interpreters.channel_recv(int(channel), None), Any)
    assert_type(interpreters.channel_list_all(), list[ChannelID])
    assert_type(interpreters.channel_list_interpreters(channel, send=True), list[InterpreterID])
    interpreters.channel_release(channel, recv=True)
    interpreters.channel_close(channel, force=True)
    interpreters.channel_destroy(channel)
    interpreters.channel_send(channel, [1])  # type: ignore
