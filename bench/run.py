# SPDX-License-Identifier: MIT
"""Answer the questions: a table, and JSON. Exit status 1 if a promise is broken.

They are the functions in QUESTIONS of questions.py (against the standard library, which needs
CPython 3.14), private.py and parallel.py.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

# It is the interpreters that are to run in parallel, not what numpy and others start by themselves.
for library in ("OPENBLAS", "OMP", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import parallel
import private
from harness import Result, Skipped, readable

QUESTIONS = [*private.QUESTIONS, *parallel.QUESTIONS]
if sys.version_info >= (3, 14):
    import questions

    QUESTIONS = [*questions.QUESTIONS, *QUESTIONS]


def table(results: list[Result]) -> str:
    """The results as a Markdown table."""
    lines = [
        "| question | ours | theirs | ratio | promised | | processes | others |",
        "|---|--:|--:|--:|--:|---|--:|--:|",
    ]
    for result in results:
        ours, theirs = list(result.seconds.values())[:2]
        reference = "" if result.reference is None else f"{result.reference:.4g}"
        lines.append(
            f"| {result.question} | {readable(ours)} | {readable(theirs)} | {result.ratio:.4g} "
            f"| <= {result.wanted:.4g} | {'ok' if result.ok else 'BROKEN'} "
            f"| {reference} | {result.others:.0%} |"
        )
    return "\n".join(lines)


def answer(asked: list[Callable[[], Result]]) -> list[Result]:
    """Ask the questions; say which ones cannot be asked."""
    results = []
    for question in asked:
        print(question.__name__, end=" ", file=sys.stderr, flush=True)
        try:
            results.append(result := question())
            print(f"    {result.ratio:.4g} (others {result.others:.0%})", file=sys.stderr)
        except Skipped as reason:
            print(f"skipped: {reason}", file=sys.stderr)
    return results


def main() -> int:
    """Parse the command line, run, report."""
    known = {question.__name__: question for question in QUESTIONS}
    parser = argparse.ArgumentParser(
        description="Compare with the standard library, with processes, and two with one.",
        epilog=f"The questions: {', '.join(known)}.",
    )
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("names", nargs="*", metavar="NAME", help="questions; default all")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        parser.error(f"unknown question {unknown[0]!r}: choose from {', '.join(known)}")
    results = answer([known[name] for name in arguments.names or known])
    print(
        f"CPython {sys.version.split()[0]}; times per operation, medians (two against one: the least)"
    )
    print("(processes: the ratio with two processes; others: their share of the processors)\n")
    print(table(results))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps([result.as_dict() for result in results], indent=2))
    return 0 if all(result.ok for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
