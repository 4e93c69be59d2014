# SPDX-License-Identifier: MIT
"""Run all the port scanners against real listeners, check them, and compare time and memory."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from listeners import FIRST_PORT, HOST, LAST_PORT, listening
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

from memory import sampling

REFERENCE = "subinterpreters"
LIMIT_SECONDS = 300.0
MIB = 1 << 20


class DemoError(Exception):
    """The demo cannot go on; the message says why in one line."""


@dataclass
class Variant:
    """One scanner: how to start it, and what has been measured."""

    name: str
    command: list[str]  # how to start it, but for the arguments all have in common
    environment: dict[str, str] | None = None
    walls: list[float] = field(default_factory=list)
    scans: list[float] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)

    @property
    def wall(self) -> float:
        """The median of the seconds of the whole program."""
        return statistics.median(self.walls)

    @property
    def scan(self) -> float:
        """The median of the seconds of just the scan."""
        return statistics.median(self.scans)

    @property
    def peak(self) -> float:
        """The most memory ever seen, in MiB."""
        return max(self.peaks) / MIB

    def ratio(self, other: Variant) -> float:
        """Return the median, over the rounds, of how many times as long as `other` this takes."""
        return statistics.median(a / b for a, b in zip(self.walls, other.walls, strict=True))


def whole(low: int) -> Callable[[str], int]:
    """Return a parser of whole numbers of at least `low`."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < low:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {low}")
        return int(text)

    return parse


def baseline(python: str) -> Variant:
    """Return the variant which runs another interpreter with its own _xxsubinterpreters."""
    # What is installed for this interpreter is not for that one.
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    python = shutil.which(python) or python
    code = "import platform, _xxsubinterpreters as s; s.channel_create; "
    code += "print(platform.python_version())"
    try:
        version = subprocess.run(
            [python, "-c", code],
            env=environment,
            capture_output=True,
            check=True,
            text=True,
            timeout=30,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        raise argparse.ArgumentTypeError(
            f"{python!r} is no Python whose _xxsubinterpreters has channels"
        ) from None
    return Variant(
        f"CPython {version} _xxsubinterpreters",
        [str(Path(python).absolute()), str(HERE / "scan_subinterpreters.py")],
        environment,
    )


def isolate(variant: Variant, directory: str) -> None:
    """Run a variant in an empty virtual environment, new in `directory`.

    What is installed for an interpreter may make it import modules when it starts (.pth files),
    and each of its subinterpreters too: that is not to be measured.
    """
    python, *rest = variant.command
    command = [python, "-m", "venv", "--without-pip", directory]
    try:
        subprocess.run(
            command, env=variant.environment, capture_output=True, check=True, timeout=60
        )
    except subprocess.SubprocessError as error:
        raise DemoError(f"{variant.name}: no virtual environment: {error}") from None
    variant.command = [str(Path(directory, "bin", "python")), *rest]


def find_baseline() -> Variant | None:
    """Look for a CPython 3.11 on the PATH, and among those of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [shutil.which("python3.11"), *pyenv.glob("versions/3.11*/bin/python3.11")]
    for candidate in candidates:
        if candidate is not None:
            with suppress(argparse.ArgumentTypeError):
                return baseline(str(candidate))
    return None


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=whole(1), default=3, help="default: %(default)s")
    parser.add_argument("--ports", type=whole(1), default=240, help="default: %(default)s")
    parser.add_argument("--listeners", type=whole(0), default=8, help="default: %(default)s")
    parser.add_argument("--workers", type=whole(1), help="see the scanners; default: no limit")
    parser.add_argument(
        "--baseline",
        type=baseline,
        metavar="PYTHON",
        help="a CPython 3.11, to compare with its _xxsubinterpreters; default: one found, if any",
    )
    parser.add_argument("--no-baseline", action="store_true", help="do not look for one")
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="default: %(default)s")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there too")
    options = parser.parse_args()
    if options.listeners > options.ports:
        parser.error("there are more --listeners than --ports")
    if options.baseline is None and not options.no_baseline:
        options.baseline = find_baseline()
    if options.ports > LAST_PORT - FIRST_PORT:
        parser.error(f"--ports is more than {LAST_PORT - FIRST_PORT}")
    return options


def run(variant: Variant, scan: Sequence[str], opened: list[int], *, memory: bool) -> None:
    """Run a scanner once, check what it finds, and record either its memory or its times."""
    samples: list[int] = []
    with ExitStack() as stack:
        output = stack.enter_context(tempfile.TemporaryFile("w+"))
        errors = stack.enter_context(tempfile.TemporaryFile("w+"))
        start = time.perf_counter()
        process = subprocess.Popen(
            [*variant.command, *scan],
            env=variant.environment,
            cwd=HERE,  # not the root of the project: its sources would hide what is installed
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )

        def kill() -> None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

        stack.callback(kill)  # whatever it may have left behind
        watchdog = threading.Timer(LIMIT_SECONDS, kill)
        watchdog.start()
        stack.callback(watchdog.cancel)
        with sampling(process.pid, samples) if memory else nullcontext():
            status = process.wait()
        wall = time.perf_counter() - start
        output.seek(0)
        errors.seek(0)
        complaint = (errors.read().strip().splitlines() or ["no message"])[-1]
        if status == -signal.SIGKILL:
            complaint = f"killed (out of memory, or over {LIMIT_SECONDS:.0f} seconds)"
        if status != 0:
            raise DemoError(f"{variant.name}: exit status {status}: {complaint}")
        result = json.loads(output.read())
    if result["open"] != opened:
        raise DemoError(f"{variant.name}: found {result['open']}, but open are {opened}")
    if memory:
        variant.peaks.append(max(samples, default=0))
    else:
        variant.walls.append(wall)
        variant.scans.append(result["seconds"])


def measure(
    variants: Sequence[Variant], rounds: int, scan: Sequence[str], opened: list[int]
) -> None:
    """Run all the variants in turns: first for their memory, which warms up, then for time."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeElapsedColumn()) as progress:
        task = progress.add_task("", total=2 * rounds * len(variants))
        for memory in (True, False):
            for number in range(rounds):
                for variant in variants if number % 2 == 0 else reversed(variants):
                    what = "memory" if memory else "time"
                    progress.update(task, description=f"{what}: {variant.name}")
                    run(variant, scan, opened, memory=memory)
                    progress.advance(task)
        progress.update(task, description="done")


def rows(variants: Sequence[Variant]) -> list[tuple[str, ...]]:
    """Return the cells of the table, its heading first."""
    reference = next(variant for variant in variants if variant.name == REFERENCE)
    return [
        ("variant", "wall (s)", "ratio", "scan (s)", "memory (MiB)"),
        *(
            (
                variant.name,
                f"{variant.wall:.3f}",
                f"{variant.ratio(reference):.2f}",
                f"{variant.scan:.3f}",
                f"{variant.peak:.0f}",
            )
            for variant in variants
        ),
    ]


def as_table(cells: Sequence[Sequence[str]], title: str) -> Table:
    """Return the table for the terminal."""
    table = Table(title=title)
    for number, heading in enumerate(cells[0]):
        table.add_column(heading, justify="right" if number else "left", no_wrap=number == 0)
    for row in cells[1:]:
        table.add_row(*row, style="bold" if row[0] == REFERENCE else None)
    return table


def as_markdown(cells: Sequence[Sequence[str]], title: str) -> str:
    """Return the table as Markdown."""
    rule = ["---", *["---:"] * (len(cells[0]) - 1)]
    lines = ["| " + " | ".join(row) + " |" for row in (cells[0], rule, *cells[1:])]
    return "\n".join([title, "", *lines, ""])


def plot(variants: Sequence[Variant], title: str, out: Path) -> None:
    """Write the bars of time and memory as SVG and PNG."""
    figure = Figure(figsize=(11, 1.2 + 0.5 * len(variants)), layout="tight")
    axes = figure.subplots(1, 2, sharey=True)
    names = [variant.name for variant in variants]
    colors = ["tab:orange" if name == REFERENCE else "tab:blue" for name in names]
    panels = (
        ("wall time, median (s)", "%.2f", [variant.wall for variant in variants]),
        ("peak memory, PSS (MiB)", "%.0f", [variant.peak for variant in variants]),
    )
    for axis, (label, form, values) in zip(axes, panels, strict=True):
        axis.bar_label(axis.barh(names, values, color=colors), fmt=form, padding=3)
        axis.set_xlabel(label)
        axis.margins(x=0.15)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].invert_yaxis()
    figure.suptitle(title, fontsize="medium")
    for suffix in "svg", "png":
        figure.savefig(out / f"portscanner.{suffix}", dpi=150)


def demo(options: argparse.Namespace) -> None:
    """Measure, and write the table and the plot."""
    options.out.mkdir(parents=True, exist_ok=True)
    python = sys.executable
    multiprocessing = [python, str(HERE / "scan_multiprocessing.py"), "--start-method"]
    variants = [
        Variant("threads", [python, str(HERE / "scan_threads.py")]),
        Variant("asyncio", [python, str(HERE / "scan_asyncio.py")]),
        Variant("multiprocessing (spawn)", [*multiprocessing, "spawn"]),
        Variant("multiprocessing (forkserver)", [*multiprocessing, "forkserver"]),
        Variant(REFERENCE, [python, "-m", REFERENCE, str(HERE / "scan_subinterpreters.py")]),
        *([options.baseline] if options.baseline else []),
    ]
    offsets = [number * options.ports // options.listeners for number in range(options.listeners)]
    with listening(options.ports, offsets) as first, tempfile.TemporaryDirectory() as directory:
        last = first + options.ports - 1
        scan = ["--host", HOST, "--ports", f"{first}-{last}", "--json"]
        if options.workers:
            scan += ["--workers", str(options.workers)]
        if options.baseline:
            isolate(options.baseline, directory)
        measure(variants, options.rounds, scan, [first + offset for offset in offsets])
    title = (
        f"{options.ports} loopback ports, {options.listeners} open; "
        f"{options.workers or options.ports} at once; median of {options.rounds}; "
        f"CPython {platform.python_version()}, {os.cpu_count()} CPUs"
    )
    cells = rows(variants)
    Console().print(as_table(cells, title))
    if options.markdown:
        options.markdown.write_text(as_markdown(cells, title))
    plot(variants, title, options.out)
    print(f"plots: {options.out / 'portscanner.svg'} and .png")


def main() -> None:
    """Run the demo; report a failure as one line."""
    options = parse_arguments()
    try:
        demo(options)
    except (DemoError, OSError) as error:
        sys.exit(f"demo.py: error: {error}")


if __name__ == "__main__":
    main()
