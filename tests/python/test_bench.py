# SPDX-License-Identifier: MIT
"""The benchmarks: how samples become ratios, and when a ratio is worse than the baseline's."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import SCRIPT_ENVIRONMENT

BENCH = Path(__file__).resolve().parents[2] / "bench"


def load(name, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module(f"common.{name}")


@pytest.fixture
def harness(monkeypatch):
    return load("harness", monkeypatch)


@pytest.fixture
def comparison(monkeypatch):
    return load("comparison", monkeypatch)


@pytest.fixture
def report(monkeypatch):
    return load("report", monkeypatch)


def results(ratio=0.5, low=0.4, high=0.6, python="3.14.8", bound=None):
    """What bench/run.py writes, with one ratio."""
    row = {
        "question": "q",
        "values": {"ours": ratio, "theirs": 1.0},
        "ratios": {"theirs": {"ratio": ratio, "low": low, "high": high}},
        "promises": {} if bound is None else {"theirs": bound},
        "unit": "s",
        "others": 0.0,
        "reference": None,
        "notes": [],
    }
    script = {"script": "s", "title": "t", "results": [row], "skipped": []}
    return {"python": python, "cpus": 2, "system": "Linux", "scripts": [script]}


# What is measured.


def test_the_sides_take_turns_and_a_ratio_is_of_one_round(harness):
    turns = []

    def side(name, factor):
        def once():
            turns.append(name)
            return factor * len(turns)

        return once

    samples = harness.measure({"ours": side("ours", 1), "theirs": side("theirs", 10)}, 3)
    assert turns[:6] == ["ours", "theirs", "ours", "theirs", "theirs", "ours"]
    assert len(samples.rounds) == 3


def test_the_ratio_is_the_median_of_the_rounds(harness):
    # The machine becomes ten times as slow: the ratio within a round does not change.
    rounds = [{"ours": speed, "theirs": 4 * speed} for speed in (1, 10, 100)]
    ratio = harness.Samples(rounds, 0, False).ratio("ours", "theirs")
    assert (ratio.ratio, ratio.low, ratio.high) == (0.25, 0.25, 0.25)
    rounds.append({"ours": 1000, "theirs": 1})
    assert harness.Samples(rounds, 0, False).ratio("ours", "theirs").ratio == 0.25


def test_of_the_best_the_least_values_count(harness):
    samples = harness.Samples([{"a": 2, "b": 8}, {"a": 4, "b": 4}], 0, True)
    ratio = samples.ratio("a", "b")
    assert (samples.value("a"), samples.value("b"), ratio.ratio) == (2, 4, 0.5)
    assert ratio.low <= ratio.ratio <= ratio.high


def test_a_promise_about_a_side_that_is_missing_is_left_out(harness):
    samples = harness.Samples([{"ours": 3, "theirs": 4}], 0, False)
    result = harness.judge("q", samples, ("ours", "theirs"), {"theirs": 0.75, "absent": 0.1})
    assert result.promises == {"theirs": 0.75}
    assert result.broken() == {}
    result.promises["theirs"] = 0.74
    assert result.broken() == {"theirs": 0.74}


@pytest.mark.parametrize(("each", "expected"), [(1e-3, 40), (1e-9, 500), (1.0, 1)])
def test_a_spell_takes_as_long_as_asked_for(harness, each, expected):
    numbers = []

    def operate(number):
        numbers.append(number)
        return each

    once = harness.spell(operate, 0.04, 500)
    once()
    once()
    assert numbers[-1] == expected


# The baseline.


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        ((0.5, 0.4, 0.6), "same"),
        ((0.9, 0.7, 1.1), "same"),  # higher, but it may be chance
        ((0.9, 0.76, 1.1), "worse"),  # 0.75 is what 0.6 and the slack allow
        ((0.3, 0.2, 0.33), "same"),
        ((0.3, 0.2, 0.31), "better"),
    ],
)
def test_worse_is_what_is_beyond_both_spreads(comparison, now, verdict):
    before = comparison.ratios_of(results())
    [change] = comparison.changes(before, comparison.ratios_of(results(*now)))
    assert (change.is_worse(), change.is_better()) == (verdict == "worse", verdict == "better")


def test_several_runs_make_a_wider_baseline(comparison):
    runs = [results(0.5, 0.4, 0.6), results(0.7, 0.6, 0.8), results(0.6, 0.5, 0.7)]
    merged = comparison.merge(comparison.ratios_of(each) for each in runs)
    assert merged == {"q": {"theirs": [0.6, 0.4, 0.8]}}


def test_what_is_not_in_both_is_no_change(comparison):
    before, now = {"q": {"a": [1, 1, 1]}, "old": {"a": [1, 1, 1]}}, {"q": {"b": [9, 9, 9]}}
    assert comparison.changes(before, now) == []
    assert comparison.missing(before, now) == ["old"]


def test_the_better_one_of_two_runs_counts(comparison):
    first = {"q": {"a": [0.5, 0.4, 0.6], "b": [0.1, 0.1, 0.1]}}
    second = {"q": {"a": [0.3, 0.2, 0.4], "b": [0.2, 0.2, 0.2]}, "r": {"a": [1, 1, 1]}}
    both = comparison.better_of(first, second)
    assert both == {"q": {"a": [0.3, 0.2, 0.4], "b": [0.1, 0.1, 0.1]}, "r": {"a": [1, 1, 1]}}
    assert first["q"]["a"] == [0.5, 0.4, 0.6]


def bench(script, *arguments):
    return subprocess.run(
        [sys.executable, str(BENCH / f"{script}.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=SCRIPT_ENVIRONMENT,
    )


@pytest.fixture
def stored(tmp_path):
    """A baseline that is made of one run."""
    (tmp_path / "run.json").write_text(json.dumps(results()))
    baseline = tmp_path / "baseline.json"
    done = bench("compare", "--store", tmp_path / "run.json", "--baseline", baseline)
    assert done.returncode == 0, done.stderr
    assert json.loads(baseline.read_text()) == {"CPython 3.14": {"q": {"theirs": [0.5, 0.4, 0.6]}}}
    return baseline


@pytest.mark.parametrize(
    ("now", "status", "said"),
    [
        (results(), 0, "1 ratios: 0 worse, 0 better"),
        (results(2.0, 1.9, 2.1), 1, "WORSE than the spread explains"),
        (results(python="3.13.1"), 2, "there is no baseline for CPython 3.13"),
    ],
)
def test_compare(stored, tmp_path, now, status, said):
    (tmp_path / "now.json").write_text(json.dumps(now))
    done = bench("compare", tmp_path / "now.json", "--baseline", stored)
    assert done.returncode == status
    assert said in done.stdout + done.stderr


# What is printed.


def test_promises_are_said_to_be_broken(report):
    assert "| 0.5 | <= 0.4 | BROKEN |" in report.promises_table(results(bound=0.4)["scripts"])
    assert "| 0.5 | <= 0.5 | ok |" in report.promises_table(results(bound=0.5)["scripts"])


def test_only_what_is_between_the_marks_is_replaced(report):
    text = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    new = report.put_between_marks(text, "new")
    assert new == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"
    assert report.put_between_marks(new, "new") == new
    with pytest.raises(ValueError, match="bench: begin"):
        report.put_between_marks("no marks", "new")


def test_the_same_results_make_the_same_plot(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    plots = load("plots", monkeypatch)
    made = results()
    made["scripts"][0]["script"] = "messages"
    made["scripts"][0]["results"][0]["question"] = "one way: 1 KB of bytes"
    texts = [plots.write(made, tmp_path / name)[0].read_bytes() for name in "ab"]
    assert texts[0] == texts[1]
    assert b"<svg" in texts[0]


def test_a_script_runs_alone(tmp_path):
    done = bench("locks", "--rounds", "1")
    assert "| acquire + release of a free lock |" in done.stdout, done.stderr
    bench("locks", "--rounds", "1", "--json", tmp_path / "x.json")
    [row] = json.loads((tmp_path / "x.json").read_text())["results"]
    assert row["ratios"]["stdlib"]["ratio"] > 0


def test_unknown_questions():
    assert "unknown question 'x'" in bench("locks", "x").stderr
    assert "unknown script 'x'" in bench("run", "x").stderr
