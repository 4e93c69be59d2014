# SPDX-License-Identifier: MIT
"""Compare the ratios of a run with bench/baseline.json. Exit status 1 if one became worse.

Without RESULTS, runs all, and what seems to be worse once more: that counts only if it is worse both times.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import run
from common import comparison
from common.comparison import Change, Ratios
from common.harness import BENCH
from common.report import ratio_text, table

BASELINE = BENCH / "baseline.json"


def store(files: list[Path], baseline: Path) -> None:
    """Make the results of some runs the baseline of their version."""
    runs = [json.loads(file.read_text()) for file in files]
    stored = json.loads(baseline.read_text()) if baseline.exists() else {}
    for version in {comparison.key(each) for each in runs}:
        own = [comparison.ratios_of(each) for each in runs if comparison.key(each) == version]
        merged = comparison.merge(own)
        stored[version] = {
            question: {
                side: [float(f"{number:.3g}") for number in spread]
                for side, spread in sides.items()
            }
            for question, sides in merged.items()
        }
    baseline.write_text(as_text(stored))


def as_text(stored: dict[str, Ratios]) -> str:
    """JSON with a line for each question, so that differences can be read."""
    versions = []
    for version, questions in sorted(stored.items()):
        lines = [
            f"  {json.dumps(question)}: {json.dumps(sides)}"
            for question, sides in questions.items()
        ]
        versions.append(f" {json.dumps(version)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(versions) + "\n}\n"


def measure_twice(before: Ratios, names: list[str]) -> tuple[dict[str, Any], Ratios]:
    """Run all, and again the scripts in which something seems to be worse."""
    results, failed = run.run_all(names, [], run.OUT)
    now = comparison.ratios_of(results)
    worse = {each.question for each in comparison.changes(before, now) if each.is_worse()}
    again = [
        script["script"]
        for script in results["scripts"]
        if worse & {row["question"] for row in script["results"]}
    ]
    if again:
        print(f"again, since it seems worse: {', '.join(again)}", file=sys.stderr)
        second, failed_again = run.run_all(again, [], run.OUT / "again")
        now = comparison.better_of(now, comparison.ratios_of(second))
        failed += failed_again
    if failed:
        sys.exit("\n".join(failed))
    return results, now


def lines(found: list[Change]) -> str:
    """A table of changes, the largest first."""
    rows = [
        [
            change.question,
            change.side,
            ratio_text(change.before[0]),
            f"{ratio_text(change.before[1])} to {ratio_text(change.before[2])}",
            ratio_text(change.now[0]),
            f"{change.factor():.2f}",
        ]
        for change in sorted(found, key=Change.factor, reverse=True)
    ]
    return table(["question", "against", "baseline", "its spread", "now", "factor"], rows, 2)


def main() -> int:
    """Parse the command line, compare, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "results", nargs="*", type=Path, metavar="RESULTS", help="JSON of bench/run.py"
    )
    parser.add_argument("--baseline", type=Path, default=BASELINE, help="default: %(default)s")
    parser.add_argument(
        "--store", action="store_true", help="make the RESULTS, of one run or several, the baseline"
    )
    arguments = parser.parse_args()
    if arguments.store:
        if not arguments.results:
            parser.error("--store needs RESULTS")
        store(arguments.results, arguments.baseline)
        return 0
    if len(arguments.results) > 1:
        parser.error("only --store takes several RESULTS")
    stored: dict[str, Ratios] = {}
    if arguments.baseline.exists():
        stored = json.loads(arguments.baseline.read_text())
    version = f"CPython {sys.version_info.major}.{sys.version_info.minor}"
    if arguments.results:
        results = json.loads(arguments.results[0].read_text())
        version = comparison.key(results)
    if version not in stored:
        print(f"there is no baseline for {version}: {', '.join(stored) or 'none'}", file=sys.stderr)
        return 2
    before = stored[version]
    if arguments.results:
        now = comparison.ratios_of(results)
    else:
        results, now = measure_twice(before, list(run.SCRIPTS))
    found = comparison.changes(before, now)
    worse = [change for change in found if change.is_worse()]
    better = [change for change in found if change.is_better()]
    for question in comparison.missing(before, now):
        print(f"not measured: {question}")
    if better:
        print(f"\nBetter than the spread explains:\n\n{lines(better)}")
    if worse:
        print(f"\nWORSE than the spread explains:\n\n{lines(worse)}")
    print(f"\n{len(found)} ratios: {len(worse)} worse, {len(better)} better")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
