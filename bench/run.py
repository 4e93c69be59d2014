# SPDX-License-Identifier: MIT
"""Answer the questions of questions.py: a table, and JSON. Exit status 1 if a promise is broken.

usage: run.py [--json FILE] [NAME...]     NAME: a function of questions.py; default all
"""

import argparse
import json
import sys
from pathlib import Path

if sys.version_info < (3, 14):
    sys.exit("bench: the comparison needs concurrent.interpreters of CPython 3.14 or newer")

from harness import Result, readable
from questions import QUESTIONS


def table(results: list[Result]) -> str:
    """The results as a Markdown table."""
    lines = ["| question | ours | theirs | ratio | promised | |", "|---|--:|--:|--:|--:|---|"]
    for result in results:
        ours, theirs = list(result.seconds.values())[:2]
        lines.append(
            f"| {result.question} | {readable(ours)} | {readable(theirs)} | {result.ratio:.4g} "
            f"| <= {result.wanted:.4g} | {'ok' if result.ok else 'BROKEN'} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Parse the command line, run, report."""
    parser = argparse.ArgumentParser(description="Compare with the standard library.")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("names", nargs="*", metavar="NAME", help="questions; default all")
    arguments = parser.parse_args()
    known = {question.__name__: question for question in QUESTIONS}
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        parser.error(f"unknown question {unknown[0]!r}: choose from {', '.join(known)}")
    results = [known[name]() for name in arguments.names or known]
    print(f"CPython {sys.version.split()[0]}; times per operation, medians\n")
    print(table(results))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps([result.as_dict() for result in results], indent=2))
    return 0 if all(result.ok for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
