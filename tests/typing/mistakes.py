# SPDX-License-Identifier: MIT
"""What type checkers refuse: an ignored error that is none is an error. It is checked, not run."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

import subinterpreters
from subinterpreters import Condition, Interpreter, Queue, RecvChannel, SendChannel, SharedBuffer


def parse(line: str, *, separator: str = ",") -> list[str]:
    return line.split(separator)


def names() -> None:
    print(subinterpreters.no_such_name)  # type: ignore
    subinterpreters.create_channel(1)[0].send(1)  # type: ignore
    subinterpreters.create_channel(1)[1].recv()  # type: ignore


def interpreters(interp: Interpreter) -> None:
    subinterpreters.create("own")  # type: ignore
    subinterpreters.create(isolation="main")  # type: ignore
    interp.exec("pass", 1)  # type: ignore
    interp.exec(parse)  # type: ignore
    interp.interrupt(KeyboardInterrupt())  # type: ignore
    interp.close("1")  # type: ignore
    print(interp.stats()["threads"] + 1)  # type: ignore
    print(interp.stats()["thread"])  # type: ignore


def calls(interp: Interpreter) -> None:
    interp.call(parse, 1)  # type: ignore
    interp.call(parse, "a", separators=";")  # type: ignore
    interp.call(parse, "a", timeout="1")  # type: ignore
    interp.submit(parse, "a", timeout=1)  # type: ignore
    interp.submit(parse)  # type: ignore
    interp.call_in_thread(parse, 1)  # type: ignore
    interp.call_async(parse, 1)  # type: ignore


async def in_asyncio(interp: Interpreter, recv: RecvChannel) -> None:
    length: int = await interp.call_async(parse, "a")  # type: ignore
    print(length, recv.recv_async() + 1)  # type: ignore


def others(send: SendChannel, queue: Queue) -> None:
    send.send(obj=1)  # type: ignore
    send.send_buffer("text")  # type: ignore
    subinterpreters.select(send)  # type: ignore
    queue.put(1, unbounditems="UNBOUND")  # type: ignore
    Condition(1)  # type: ignore
    SharedBuffer()  # type: ignore
    RecvChannel(1)  # type: ignore
