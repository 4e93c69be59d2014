# SPDX-License-Identifier: MIT
"""The command line which all the scanners share: parse and check arguments, scan, report."""

from __future__ import annotations

import argparse
import ipaddress
import json
import math
import re
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

LARGEST_PORT = 65535
LARGEST_TIMEOUT = 3600.0

Scan = Callable[[str, range, float, int], list[int]]


class Options(argparse.Namespace):
    """What the command line asks for; `host` is a numeric address after `parse`."""

    host: str
    i_own_this_host: bool
    ports: range
    timeout: float
    workers: int | None
    json: bool
    start_method: str  # only scan_multiprocessing.py has it
    pool: str  # only scan_pool.py has it


class OneLineParser(argparse.ArgumentParser):
    """An argument parser which reports an error as one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Print one line on stderr and exit with status 2."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def port_range(text: str) -> range:
    """Parse FIRST-LAST, both included, or a single PORT."""
    match = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not FIRST-LAST, for example 20000-20199")
    first = int(match[1])
    last = int(match[2] or first)
    for port in first, last:
        if not 1 <= port <= LARGEST_PORT:
            raise argparse.ArgumentTypeError(f"port {port} is not in 1-{LARGEST_PORT}")
    if first > last:
        raise argparse.ArgumentTypeError(f"{text!r} is reversed: {first} is after {last}")
    return range(first, last + 1)


def seconds(text: str) -> float:
    """Parse a finite number of seconds, more than 0."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None
    if math.isnan(value) or not 0 < value <= LARGEST_TIMEOUT:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not more than 0 and at most {LARGEST_TIMEOUT:.0f} seconds"
        )
    return value


def positive(text: str) -> int:
    """Parse a whole number, at least 1."""
    if re.fullmatch(r"[0-9]{1,9}", text) is None or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def resolve(host: str) -> list[str]:
    """Return all the numeric addresses of a host, those of IPv4 first."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM) if host else []
    found.sort(key=lambda info: info[0] != socket.AF_INET)
    return [str(info[4][0]) for info in found]


def is_loopback(address: str) -> bool:
    """Tell whether a numeric address belongs to this machine's loopback interface."""
    return ipaddress.ip_address(address).is_loopback


def parser(description: str | None) -> OneLineParser:
    """Return a parser of the arguments which all the scanners have in common."""
    result = OneLineParser(Path(sys.argv[0]).name, description=description, allow_abbrev=False)
    result.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    result.add_argument(
        "--i-own-this-host", action="store_true", help="allow a host which is not loopback"
    )
    result.add_argument(
        "--ports", type=port_range, required=True, metavar="FIRST-LAST", help="ports to try"
    )
    result.add_argument(
        "--timeout", type=seconds, default=1.0, help="seconds a connection, default: %(default)s"
    )
    result.add_argument(
        "--workers", type=positive, help="the most ports tried at once, default: all of them"
    )
    result.add_argument("--json", action="store_true", help="print one line of JSON instead")
    return result


def parse(parser: OneLineParser) -> Options:
    """Parse and check the command line; replace the host by its first numeric address."""
    options = parser.parse_args(namespace=Options())
    try:
        addresses = resolve(options.host)
    except (OSError, UnicodeError):
        addresses = []
    if not addresses:
        parser.error(f"argument --host: {options.host!r} is unknown")
    if not all(map(is_loopback, addresses)) and not options.i_own_this_host:
        parser.error(
            f"argument --host: {options.host!r} is not loopback ({', '.join(addresses)}): "
            "scan only your own machines, and say so with --i-own-this-host"
        )
    options.host = addresses[0]
    return options


def report(options: Options, scan: Scan) -> None:
    """Scan, measure the time of just the scan, and print the open ports."""
    workers = options.workers or len(options.ports)
    start = time.perf_counter()
    try:
        opened = scan(options.host, options.ports, options.timeout, workers)
    except (OSError, RuntimeError) as error:
        sys.exit(f"{Path(sys.argv[0]).name}: error: the scan failed: {error}")
    elapsed = time.perf_counter() - start
    if options.json:
        print(json.dumps({"open": opened, "seconds": elapsed}))
    else:
        for port in opened:
            print(port)
