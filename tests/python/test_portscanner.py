# SPDX-License-Identifier: MIT
"""The example of the port scanner: exact answers, and clear errors for bad arguments."""

from __future__ import annotations

import importlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from support import SCRIPT_ENVIRONMENT

PORTSCANNER = Path(__file__).resolve().parents[2] / "examples" / "portscanner"
COUNT = 12
OFFSETS = (0, 5, 11)
VARIANTS = {
    "threads": ["scan_threads.py"],
    "asyncio": ["scan_asyncio.py"],
    "spawn": ["scan_multiprocessing.py", "--start-method", "spawn"],
    "forkserver": ["scan_multiprocessing.py", "--start-method", "forkserver"],
    "subinterpreters": ["scan_subinterpreters.py"],
    "pool": ["scan_pool.py"],
    "pool of processes": ["scan_pool.py", "--pool", "processes"],
    "pool of multiprocessing": ["scan_pool.py", "--pool", "multiprocessing"],
    "pool of threads": ["scan_pool.py", "--pool", "threads"],
}

every_variant = pytest.mark.parametrize("variant", VARIANTS)


def run(variant: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a variant to its end."""
    program, *options = VARIANTS[variant]
    command = [sys.executable, str(PORTSCANNER / program), *options, *arguments]
    if variant == "subinterpreters":
        command[1:1] = ["-m", "subinterpreters"]
    return subprocess.run(
        command,
        cwd=PORTSCANNER,  # not the root of the project: its sources would hide what is installed
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=SCRIPT_ENVIRONMENT,
    )


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a module of the example."""
    monkeypatch.syspath_prepend(str(PORTSCANNER))
    return importlib.import_module(name)


def complaint(result: subprocess.CompletedProcess[str], status: int) -> str:
    """Return the only line on stderr."""
    assert result.returncode == status, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    [line] = result.stderr.splitlines()
    return line


@pytest.fixture
def first() -> Iterator[int]:
    """Listen to three of twelve ports; give the first of the twelve."""
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        load("listeners", monkeypatch).listening(COUNT, OFFSETS) as port,
    ):
        yield port


@pytest.fixture
def silent() -> Iterator[int]:
    """Give a port which answers no more: its queue of connections is full."""
    connections = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        with pytest.raises(TimeoutError):
            while True:
                connections.append(socket.create_connection(listener.getsockname(), timeout=0.5))
        yield listener.getsockname()[1]
    for connection in connections:
        connection.close()


@every_variant
@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["unlimited", "two"])
def test_exactly_the_open_ports(variant: str, workers: tuple[str, ...], first: int) -> None:
    ports = f"{first}-{first + COUNT - 1}"
    result = run(variant, "--host", "127.0.0.1", "--ports", ports, *workers)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout.split() == [str(first + offset) for offset in OFFSETS]


@every_variant
def test_json(variant: str, first: int) -> None:
    result = run(variant, "--ports", f"{first}-{first + 1}", "--json")
    answer = json.loads(result.stdout)
    assert answer["open"] == [first]
    assert answer["seconds"] > 0


@every_variant
def test_a_port_which_does_not_answer_in_time_is_not_open(variant: str, silent: int) -> None:
    result = run(variant, "--ports", str(silent), "--timeout", "0.25")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@every_variant
def test_ipv6(variant: str) -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with listener:
        port = str(listener.getsockname()[1])
        assert run(variant, "--host", "::1", "--ports", port).stdout.split() == [port]


@every_variant
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [("", "--ports"), ("--ports 0-10", "port 0 is not in 1-65535")],
)
def test_bad_arguments(variant: str, arguments: str, expected: str) -> None:
    assert expected in complaint(run(variant, *arguments.split()), 2)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--ports 0", "port 0 is not in 1-65535"),
        ("--ports 69990-70000", "port 69990 is not in 1-65535"),
        ("--ports 70000", "port 70000 is not in 1-65535"),
        ("--ports 65000-65536", "port 65536 is not in 1-65535"),
        ("--ports 20010-20000", "reversed"),
        ("--ports=", "FIRST-LAST"),
        ("--ports=-", "FIRST-LAST"),
        ("--ports 20000-", "FIRST-LAST"),
        ("--ports=-20000", "FIRST-LAST"),
        ("--ports http", "FIRST-LAST"),
        ("--ports 2e4", "FIRST-LAST"),
        ("--ports ٢٠٠٠٠", "FIRST-LAST"),
        ("--ports 20000 --timeout 0", "'0' is not more than 0"),
        ("--ports 20000 --timeout=-1", "'-1' is not more than 0"),
        ("--ports 20000 --timeout nan", "'nan' is not more than 0"),
        ("--ports 20000 --timeout inf", "at most"),
        ("--ports 20000 --timeout 1e20", "at most"),
        ("--ports 20000 --timeout soon", "'soon' is not a number of seconds"),
        ("--ports 20000 --workers 0", "'0' is not a whole number"),
        ("--ports 20000 --workers=-1", "'-1' is not a whole number"),
        ("--ports 20000 --workers many", "'many' is not a whole number"),
        ("--ports 20000 --host=", "'' is unknown"),
        ("--ports 20000 --host 127.0.0.256", "'127.0.0.256' is unknown"),
        ("--ports 20000 --host a..b", "'a..b' is unknown"),
        ("--ports 20000 --host no-such-host.invalid", "'no-such-host.invalid' is unknown"),
        ("--ports 20000 --host 192.0.2.1", "--i-own-this-host"),
        ("--ports 20000 --host 0.0.0.0", "--i-own-this-host"),
        ("--ports 20000 --verbose", "--verbose"),
        ("--ports 20000 20001", "20001"),
    ],
)
def test_bad_arguments_of_all(arguments: str, expected: str) -> None:
    """They have the same parser."""
    assert expected in complaint(run("subinterpreters", *arguments.split()), 2)


def test_unknown_start_method() -> None:
    result = run("spawn", "--ports", "20000", "--start-method", "fork")
    assert "--start-method" in complaint(result, 2)


def test_unknown_pool() -> None:
    assert "--pool" in complaint(run("pool", "--ports", "20000", "--pool", "dirty"), 2)


def test_a_host_of_yours(first: int) -> None:
    arguments = "--host", "0.0.0.0", "--i-own-this-host", "--ports", str(first)
    assert run("threads", *arguments).stdout.split() == [str(first)]


@pytest.mark.parametrize(
    ("addresses", "accepted"),
    [
        (["::1", "127.0.0.1"], True),
        (["127.0.0.1", "192.0.2.1"], False),
        (["192.0.2.1", "127.0.0.1"], False),
        (["2001:db8::1", "127.0.0.1"], False),
    ],
)
def test_all_the_addresses_of_a_name_must_be_loopback(
    addresses: list[str],
    accepted: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = load("arguments", monkeypatch)
    found = [
        (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0))
        for each in addresses
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    monkeypatch.setattr(sys, "argv", ["scan", "--host", "many", "--ports", "20000"])
    if accepted:
        assert arguments.parse(arguments.parser(None)).host == "127.0.0.1"
        return
    with pytest.raises(SystemExit) as caught:
        arguments.parse(arguments.parser(None))
    assert caught.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "'many' is not loopback" in line


@pytest.mark.parametrize("scanner", ["scan_threads", "scan_asyncio"])
def test_an_error_is_no_closed_port(
    scanner: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = load("arguments", monkeypatch)
    module = load(scanner, monkeypatch)
    monkeypatch.setattr(sys, "argv", ["scan", "--ports", "20000-20003"])
    options = arguments.parse(arguments.parser(None))

    async def fail_later(*_: object) -> bool:
        raise OSError("no more sockets")

    def fail(*_: object) -> bool:
        raise OSError("no more sockets")

    monkeypatch.setattr(module, "is_open", fail if scanner == "scan_threads" else fail_later)
    with pytest.raises(SystemExit) as caught:
        arguments.report(options, module.scan)
    assert caught.value.code == "scan: error: the scan failed: no more sockets"
    assert capsys.readouterr().out == ""


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the demo, if what it needs is installed."""
    for name in "matplotlib", "psutil", "rich":
        pytest.importorskip(name)
    return load("demo", monkeypatch)


def test_the_demo_refuses_a_wrong_answer(demo: ModuleType) -> None:
    code = """print('{"open": [1], "seconds": 1.0}')"""
    variant = demo.Variant("liar", [sys.executable, "-c", code])
    with pytest.raises(demo.DemoError, match=r"liar: found \[1\], but open are \[1, 2\]"):
        demo.run(variant, [], [1, 2], memory=False)


def test_the_demo_refuses_a_failure(demo: ModuleType) -> None:
    variant = demo.Variant("lame", [sys.executable, "-c", "raise SystemExit('I am lame')"])
    with pytest.raises(demo.DemoError, match="lame: exit status 1: I am lame"):
        demo.run(variant, [], [], memory=True)


@pytest.mark.usefixtures("demo")
def test_the_demo(tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    arguments = ["--ports", "12", "--listeners", "3", "--rounds", "1", "--no-baseline"]
    result = subprocess.run(
        [sys.executable, str(PORTSCANNER / "demo.py"), *arguments]
        + ["--out", str(tmp_path), "--markdown", str(table)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=SCRIPT_ENVIRONMENT,
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "portscanner.svg").stat().st_size > 0
    assert (tmp_path / "portscanner.png").stat().st_size > 0
    assert "| subinterpreters |" in table.read_text()
