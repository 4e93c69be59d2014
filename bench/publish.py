# SPDX-License-Identifier: MIT
"""Put the results of a run into README.md and docs/: tables between marks, and plots."""

import argparse
import json
from pathlib import Path

import run
from common import plots, report
from common.harness import BENCH

ROOT = BENCH.parent


def main() -> None:
    """Parse the command line, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="?", type=Path, default=run.OUT / "results.json")
    results = json.loads(parser.parse_args().results.read_text())
    written = plots.write(results, ROOT / "docs" / "bench")
    summary = f"{report.machine(results)}:\n\n{report.promises_table(results['scripts'])}"
    for file, new in (
        (ROOT / "README.md", summary),
        (ROOT / "docs" / "benchmarks.md", report.page(results)),
    ):
        images = [f"![{each.stem}]({each.relative_to(file.parent)})" for each in written]
        new = "\n\n".join([new.strip(), *images])
        file.write_text(report.put_between_marks(file.read_text(), new))


if __name__ == "__main__":
    main()
