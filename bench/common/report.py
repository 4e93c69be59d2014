# SPDX-License-Identifier: MIT
"""Tables in Markdown of what has been measured, as it is in the JSON of the results."""

from typing import Any

ROUGH = 100  # from here on a ratio has no decimals
PAIR = "a pair"

Answer = dict[str, Any]  # of one script
Row = dict[str, Any]  # a harness.Result


def readable(value: float, unit: str) -> str:
    """A time or a size with a unit that suits it."""
    scales = {
        "s": (("s", 1), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)),
        "B": (("GB", 1e-9), ("MB", 1e-6), ("KB", 1e-3), ("B", 1)),
    }
    fitting = [each for each in scales[unit] if value * each[1] >= 1]
    name, factor = fitting[0] if fitting else scales[unit][-1]
    return f"{value * factor:.3g} {name}"


def ratio_text(ratio: float) -> str:
    """A ratio in few digits, never as 1e-05."""
    return f"{ratio:.0f}" if ratio >= ROUGH else f"{ratio:.3g}" if ratio >= 1e-4 else f"{ratio:.5f}"


def table(heading: list[str], rows: list[list[str]], left: int = 1) -> str:
    """A table whose first columns are texts, and whose others are numbers."""
    rule = ["---"] * left + ["--:"] * (len(heading) - left)
    return "\n".join(f"| {' | '.join(row)} |" for row in (heading, rule, *rows))


def cell(row: Row, side: str) -> str:
    """The value of a side, and how many times ours it is."""
    if side not in row["values"]:
        return ""
    text = readable(row["values"][side], row["unit"])
    if side in row["ratios"]:
        text += f" ({ratio_text(1 / row['ratios'][side]['ratio'])}x)"
    return text


def columns(rows: list[Row]) -> list[str]:
    """The sides of all rows, in their order."""
    return list(dict.fromkeys(side for row in rows for side in row["values"]))


def script_table(answer: Answer) -> str:
    """What one script has found: a column for each side. In brackets: how many times ours that is."""
    groups: dict[str, list[Row]] = {}
    for row in answer["results"]:
        shape = columns([row])
        # Sides that are called after their row (two workers, and one) all go to the same columns.
        key = PAIR if "," in shape[0] else shape[0]
        groups.setdefault(key, []).append(row)
    parts = [f"### {answer['title']} (`bench/{answer['script']}.py`)"]
    for key, rows in groups.items():
        sides = ["ours", "against"] if key == PAIR else columns(rows)
        lines = []
        for row in rows:
            own = list(row["values"]) if key == PAIR else sides
            reference = row["reference"]
            lines.append(
                [row["question"], *(cell(row, side) for side in own)]
                + ["" if reference is None else ratio_text(1 / reference) + "x"]
                + [f"{row['others']:.0%}"]
            )
        heading = [" ", *sides, "processes", "others"]
        if all(row["reference"] is None for row in rows):
            heading.remove("processes")
            lines = [[*line[:-2], line[-1]] for line in lines]
        parts.append(table(heading, lines))
    notes = dict.fromkeys(note for row in answer["results"] for note in row["notes"])
    if notes:
        parts.append(f"Left out: {'; '.join(notes)}.")
    if answer["skipped"]:
        parts.append(f"Skipped: {'; '.join(answer['skipped'])}.")
    return "\n\n".join(parts)


def promises_table(answers: list[Answer]) -> str:
    """All promises: what our value is, as a fraction of the other's."""
    rows = []
    for answer in answers:
        for row in answer["results"]:
            ours = next(iter(row["values"]))
            for side, bound in row["promises"].items():
                ratio = row["ratios"][side]["ratio"]
                rows.append(
                    [
                        row["question"],
                        side,
                        readable(row["values"][ours], row["unit"]),
                        readable(row["values"][side], row["unit"]),
                        ratio_text(ratio),
                        f"<= {ratio_text(bound)}",
                        "ok" if ratio <= bound else "BROKEN",
                    ]
                )
    return table(["question", "against", "ours", "theirs", "ratio", "promised", ""], rows, 2)


def machine(results: dict[str, Any]) -> str:
    """One line on what it was measured with."""
    return f"CPython {results['python']}, {results['cpus']} CPUs, {results['system']}"


def page(results: dict[str, Any]) -> str:
    """All tables."""
    parts = [
        f"Measured with {machine(results)}. Medians of rounds in which the sides take turns; in brackets "
        + "how many times our value (the first column's) it is. `others`: the share of the processors that "
        + "other programs had meanwhile; `processes`: the same ratio for processes.",
        "## What is promised",
        promises_table(results["scripts"]),
        "## All that was measured",
        *map(script_table, results["scripts"]),
    ]
    return "\n\n".join(parts) + "\n"


BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def put_between_marks(text: str, new: str) -> str:
    """Replace what is between the two marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"there is no {BEGIN} with a {END} after it")
    return f"{before}{BEGIN}\n{new.strip()}\n{END}{after}"
