"""The self-check of hidden tests finds one that goes by luck, and only that."""

from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import toy

from autograder import flakiness
from autograder.judge import Verdict, judge_notebook, repeat_tests
from autograder.selftest import Answer

LUCKY = """
from autograder.judging import *

@hidden("early", "adds one", core=True)
def _(student, draw):
    n = draw.integers(0, 4)
    check_equal(student.early(n), n + 1)

@hidden("early", "to a hundred")
def _(student, draw):
    check_equal(student.early(100), 101)
"""
SEEDS = [str(n).encode() for n in range(30)]
ANSWER = Answer("toy", "early", "wrong", "x", "")


def verdicts(warm_pair, source):
    steps = [toy.SETUP, toy.Step("solution", "early", source)]
    points = {"early": 1.0}
    found = repeat_tests(
        "toy", steps, "early", SEEDS, *warm_pair, toy.LIMITS, points=points, hidden_source=LUCKY
    )

    def again(seed):
        fresh = judge_notebook(
            *("toy", steps, seed.encode(), *warm_pair, toy.LIMITS),
            points=points,
            hidden_source=LUCKY,
        )
        return flakiness.outcomes(fresh["early"])

    return found, flakiness.flips_of(ANSWER, found, [s.decode() for s in SEEDS], again)


def test_a_sure_test_does_not_flip_and_is_timed(warm_pair):
    found, flips = verdicts(warm_pair, "def early(n):\n    return n + 1")
    assert len(found) == 30 and not flips
    assert {v.score for v in found} == {1.0}
    assert all(len(v.times) == 2 and min(v.times) > 0 for v in found)


def test_a_test_that_goes_by_luck_is_found(warm_pair):
    found, flips = verdicts(warm_pair, "def early(n):\n    return n + 1 if n != 2 else 0")
    assert [f.check for f in flips] == ["adds one"]
    assert 0 < flips[0].fewer <= 15 and flips[0].runs == 30
    assert {v.score for v in found} == {0.0, 1.0}


def test_what_an_answer_remembers_between_seeds_is_no_flip(warm_pair):
    # Kept on a module: it outlives the cell's next run, but not the process.
    source = (
        "import math\ndef early(n):\n    math.calls = getattr(math, 'calls', 0) + 1\n"
        "    return n + 1 if math.calls < 9 else 0"
    )
    found, flips = verdicts(warm_pair, source)
    assert {v.score for v in found} == {0.0, 1.0} and not flips


def test_an_answer_that_takes_the_process_is_tried_three_times(warm_pair):
    found, flips = verdicts(warm_pair, "import os\ndef early(n):\n    os._exit(0)")
    assert [v.status for v in found] == ["crash"] * 3 and not flips


def test_a_status_that_changes_is_a_flip():
    found = [Verdict("early", 0.0, 1.0, "graded"), Verdict("early", 0.0, 1.0, "timeout")]
    [flip] = flakiness.flips_of(
        ANSWER, found, ["a", "b"], {"a": {"status": "graded"}, "b": {"status": "timeout"}}.get
    )
    assert (flip.check, flip.says, flip.fewer, flip.seed) == ("status", "timeout", 1, "b")


def test_the_table_has_the_slowest_test_first():
    flip = flakiness.Flip(ANSWER, "one", "fails", 1, 2, "s")
    times = {("toy", "early", "two"): [0.001], ("toy", "early", "one"): [0.02, 0.04]}
    runs = {place: Counter({"wrong/x": len(seconds)}) for place, seconds in times.items()}
    assert flakiness.summary([flip], times, runs) == [
        ("toy", "early", "one", "1", "2", "1", "30.0", "40.0"),
        ("toy", "early", "two", "1", "1", "0", "1.0", "1.0"),
    ]


@pytest.mark.slow
def test_the_command_on_one_exercise(tmp_path, monkeypatch, capsys):
    bank = tmp_path / "bank" / "01_gqa_moe" / "kv_cache_bytes" / "wrong"
    bank.mkdir(parents=True)
    wrong = "def kv_cache_bytes(*a, **k):\n    return 0\n"
    (bank / "zero.py").write_text(wrong)
    monkeypatch.chdir(tmp_path)
    assert flakiness.flakiness(3, bank=tmp_path / "bank", workers=1) == 0
    assert "0 flips" in capsys.readouterr().out
    assert (tmp_path / "flakiness.csv").read_text().startswith("notebook,exercise,check")


def test_every_answer_is_drawn_its_own_inputs(monkeypatch):
    warm, seen = SimpleNamespace(wait_ready=lambda: None), []
    monkeypatch.setattr(flakiness, "start_warm", lambda *_, **__: nullcontext(warm))

    def note(notebook, steps, exercise, seeds, *rest, **options):
        seen.extend(seeds)
        return []

    monkeypatch.setattr(flakiness, "repeat_tests", note)
    reference = flakiness.reference("05_star", "majority_vote")
    flakiness.judge_repeatedly([reference, replace(reference, name="other")], 3, "seed")
    assert len(set(seen)) == 6
