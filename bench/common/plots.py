# SPDX-License-Identifier: MIT
"""Plots of what has been measured, as SVG: the same results make the same files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Rows = dict[str, dict[str, Any]]  # by question

COLORS = {
    "subinterpreters": "tab:orange",
    "channel": "tab:orange",
    "private": "goldenrod",
    "our queue": "goldenrod",
    "stdlib interpreters": "tab:blue",
    "stdlib queue": "tab:blue",
    "ProcessPoolExecutor": "tab:green",
    "multiprocessing.Pipe": "tab:green",
    "ThreadPoolExecutor": "tab:gray",
    "threads, SimpleQueue": "tab:gray",
    "multiprocessing.Pool": "tab:olive",
    "multiprocessing.Queue": "tab:olive",
    "loky": "tab:purple",
}
MICRO, MEGA = 1e6, 1e-6


def bars(axes: Axes, values: dict[str, float], form: str) -> None:
    """A bar for each side, the first on top."""
    names = list(values)
    drawn = axes.barh(names, list(values.values()), color=[COLORS.get(n, "black") for n in names])
    axes.bar_label(drawn, fmt=form, padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.spines[["top", "right"]].set_visible(False)


def curves(axes: Axes, points: dict[str, list[tuple[float, float]]], x: str, y: str) -> None:
    """A line for each side, on logarithmic axes."""
    for name, pairs in points.items():
        axes.plot(
            *zip(*pairs, strict=True), marker="o", label=name, color=COLORS.get(name, "black")
        )
    axes.set(xscale="log", yscale="log", xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    axes.spines[["top", "right"]].set_visible(False)


def collect(
    rows: Rows, questions: dict[str, float], value: Callable[[float, float], float]
) -> dict[str, list[tuple[float, float]]]:
    """The points of each side: at x of a question, a function of x and of what was measured."""
    points: dict[str, list[tuple[float, float]]] = {}
    for question, x in questions.items():
        for side, measured in rows.get(question, {"values": {}})["values"].items():
            points.setdefault(side, []).append((x, value(x, measured)))
    return points


def two_panels(rows: Rows, panels: dict[str, str], factor: float, unit: str, title: str) -> Figure:
    """Bars of two questions, on logarithmic axes."""
    figure = Figure(figsize=(11, 3.6), layout="tight")
    for axes, (question, label) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        values = {side: each * factor for side, each in rows[question]["values"].items()}
        bars(axes, values, "%.3g")
        axes.set(xscale="log", xlabel=f"{label} ({unit}, logarithmic)")
        axes.margins(x=0.3)
    figure.suptitle(title, fontsize="medium")
    return figure


def dispatch(rows: Rows) -> Figure:
    """Latency, and the time of one of many."""
    panels = {
        "submit to result": "one task, from submit to result",
        "burst: submit up to 10,000, then all results, per task": "a task of 10,000 at once",
    }
    return two_panels(rows, panels, MICRO, "us", "A task that does nothing, two workers")


def startup(rows: Rows) -> Figure:
    """Cold and warm."""
    panels = {
        "first result of a new pool, cold": "in a new process",
        "first result of a new pool, warm": "after another pool",
    }
    return two_panels(rows, panels, 1e3, "ms", "From a new pool to its first result")


def throughput(rows: Rows) -> Figure:
    """How much of the processors' time the tasks have."""
    sizes = {f"map of tasks of {size / 1000:g} ms": size for size in (100, 1000, 10_000)}
    figure = Figure(figsize=(8, 4), layout="tight")
    axes = figure.subplots()
    points = collect(rows, sizes, lambda size, seconds: size / (seconds * MICRO))
    curves(axes, points, "a task takes (us)", "times as fast as one thread")
    axes.set(yscale="linear", ylim=(0, None), title="map() over two workers")
    axes.axhline(2, color="black", linewidth=0.5, linestyle="--")
    return figure


def memory(rows: Rows) -> Figure:
    """By the number of workers."""
    counts = {
        f"memory of a worker, in a pool of {count}": count for count in (1, 2, 10, 50, 100, 200)
    }
    figure = Figure(figsize=(8, 4), layout="tight")
    axes = figure.subplots()
    points = collect(rows, counts, lambda _, size: size * MEGA)
    curves(axes, points, "workers", "PSS a worker (MB)")
    axes.set_title("Memory of a worker")
    return figure


def messages(rows: Rows) -> Figure:
    """Megabytes a second, by size."""
    sizes = {"10 B": 10, "1 KB": 1e3, "64 KB": 64e3, "1 MB": 1e6, "16 MB": 16e6}
    questions = {f"one way: {name} of bytes": size for name, size in sizes.items()}
    figure = Figure(figsize=(8, 4), layout="tight")
    axes = figure.subplots()
    points = collect(rows, questions, lambda size, seconds: size * MEGA / seconds)
    curves(axes, points, "bytes in a message", "MB a second")
    axes.set_title("bytes to another worker")
    return figure


def scaling(rows: Rows) -> Figure:
    """How many times as fast several workers are as one."""
    start = "pure Python on "
    counts = sorted({int(each.split()[3]) for each in rows if each.startswith(start)})
    count = counts[-1]
    values = {
        question.rpartition(": ")[2]: 1 / next(iter(row["ratios"].values()))["ratio"]
        for question, row in rows.items()
        if question.startswith(f"{start}{count} workers")
    }
    figure = Figure(figsize=(8, 3.2), layout="tight")
    axes = figure.subplots()
    bars(axes, values, "%.2f")
    axes.axvline(count, color="black", linewidth=0.5, linestyle="--")
    axes.set(xlabel=f"times as fast with {count} workers as with one", title="Pure Python work")
    return figure


PLOTS = {
    "startup": startup,
    "dispatch": dispatch,
    "throughput": throughput,
    "worker_memory": memory,
    "messages": messages,
    "scaling": scaling,
}


def write(results: dict[str, Any], folder: Path) -> list[Path]:
    """Write the plots of the scripts that have been run."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = {row["question"]: row for script in results["scripts"] for row in script["results"]}
    written = []
    with matplotlib.rc_context({"svg.hashsalt": "subinterpreters"}):
        for script in results["scripts"]:
            draw = PLOTS.get(script["script"])
            if draw is None or not script["results"]:
                continue
            try:
                figure = draw(rows)
            except KeyError:
                continue  # only a part of its questions has been asked
            written.append(folder / f"{script['script']}.svg")
            figure.savefig(written[-1], metadata={"Date": None})
    return written
