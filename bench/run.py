# SPDX-License-Identifier: MIT
"""Run the scripts that ask questions, each in a process of its own; print tables, write JSON and plots.

Exit status 1 if a promise is broken or a script fails.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from common import report
from common.harness import BENCH, ENVIRONMENT

SCRIPTS = (
    "startup",
    "dispatch",
    "throughput",
    "worker_memory",
    "messages",
    "arrays",
    "scaling",
    "port_scanner",
    "calls",
    "round_trips",
    "queues",
    "locks",
    "creation",
    "parallel_work",
    "pipeline",
)
LIMIT_SECONDS = 600  # of a script
OUT = BENCH.parent / "build" / "bench"


class Failed(Exception):
    """A script has failed; the message says how in one line."""


def run_script(name: str, options: list[str], out: Path) -> dict[str, Any]:
    """Run a script, and return what it has found."""
    script, *questions = name.split(".", 1)
    file = out / f"{script}.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, str(BENCH / f"{script}.py"), *questions, *options]
    print(name, file=sys.stderr, flush=True)
    start = time.monotonic()
    try:
        status = subprocess.run(
            [*command, "--json", str(file)],
            env=os.environ | ENVIRONMENT,
            timeout=LIMIT_SECONDS,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        raise Failed(f"{name} has taken more than {LIMIT_SECONDS} seconds") from None
    if not file.exists():
        raise Failed(f"{name} has failed with exit status {status}")
    print(f"  {time.monotonic() - start:.0f} s", file=sys.stderr)
    return json.loads(file.read_text())


def run_all(names: list[str], options: list[str], out: Path) -> tuple[dict[str, Any], list[str]]:
    """Run scripts; return the results, and what has failed."""
    out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "python": platform.python_version(),
        "cpus": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.machine()}",
        "scripts": [],
    }
    failed = []
    for name in names:
        try:
            results["scripts"].append(run_script(name, options, out))
        except Failed as error:
            failed.append(str(error))
    (out / "results.json").write_text(json.dumps(results, indent=1))
    return results, failed


def broken(results: dict[str, Any]) -> bool:
    """Whether a promise is."""
    return any(
        row["ratios"][side]["ratio"] > bound
        for script in results["scripts"]
        for row in script["results"]
        for side, bound in row["promises"].items()
    )


def main() -> int:
    """Parse the command line, run, report."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f"Scripts: {', '.join(SCRIPTS)}. One question of a script: SCRIPT.QUESTION.",
    )
    parser.add_argument("names", nargs="*", metavar="SCRIPT", help="default: all")
    parser.add_argument("--rounds", type=int, help="at most so many, for a quick look")
    parser.add_argument("--out", type=Path, default=OUT, help="folder, default: %(default)s")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name.split(".")[0] not in SCRIPTS]
    if unknown:
        parser.error(f"unknown script {unknown[0]!r}: choose from {', '.join(SCRIPTS)}")
    options = [] if arguments.rounds is None else ["--rounds", str(arguments.rounds)]
    start = time.monotonic()
    results, failed = run_all(arguments.names or list(SCRIPTS), options, arguments.out)
    (arguments.out / "tables.md").write_text(report.page(results))
    print(report.page(results))
    for message in failed:
        print(f"FAILED: {message}")
    try:
        from common import plots
    except ImportError:
        print("no plots: matplotlib is not installed")
    else:
        plots.write(results, arguments.out)
    print(f"{time.monotonic() - start:.0f} seconds; JSON, tables and plots are in {arguments.out}")
    return 1 if failed or broken(results) else 0


if __name__ == "__main__":
    sys.exit(main())
