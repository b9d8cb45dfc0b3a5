"""05_star: the reference against counting, the experiments against what they claim."""

import json
import re
import statistics
from itertools import combinations
from pathlib import Path

import pytest
import torch

from autograder.build import reference_cells
from course_lib.checking import run_check
from course_lib.exercises import load_exercises
from course_lib.experiments import star as lab
from course_lib.models import load_base
from course_lib.problems import make_problems

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = "05_star"


@pytest.fixture(scope="module")
def solved():
    """The namespace of the reference solution: set-up and solution cells, run."""
    namespace = {"__name__": "__main__"}
    for _, _, source in reference_cells(NOTEBOOK):
        exec(compile(source, NOTEBOOK, "exec"), namespace)
    return namespace


@pytest.mark.parametrize("exercise", load_exercises(NOTEBOOK).values(), ids=lambda e: e.name)
def test_visible_check_passes_on_the_reference(solved, exercise):
    report = run_check(exercise.name, *(solved[name] for name in exercise.functions))
    assert report.passed, report


def test_title_page_agrees_with_the_exercise_facts():
    text = (ROOT / "solutions" / f"{NOTEBOOK}.py").read_text()
    listed = re.findall(r"^# \| \d+ \| `(\w+)`.*\| (\d+) \|$", text, re.MULTILINE)
    assert listed == [(e.name, str(e.points)) for e in load_exercises(NOTEBOOK).values()]


@pytest.mark.parametrize("n", [3, 6])
def test_pass_at_k_is_the_mean_over_all_subsets(solved, n):
    for c in range(n + 1):
        for k in range(1, n + 1):
            subsets = list(combinations(range(n), k))
            want = statistics.mean(any(i < c for i in s) for s in subsets)
            assert solved["pass_at_k"](n, c, k) == pytest.approx(want)


# ---------------------------------------------------------------- the experiments


PROBLEM = {"question": "How many?", "answer": "2+3=<<2+3=5>>5\n#### 5"}


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("2+3=<<2+3=5>>5\n#### 5", True),
        ("So it is\n#### 5", True),
        ("2+3=<<2+3=5>>5\n#### 6", False),
        ("2+3=<<2+3=5>>5", False),
        ("#### 5\nand on", False),  # it did not stop
        ("#### 4\n#### 5", False),
        ("#### 1,005", False),
    ],
)
def test_the_filter_is_strict(text, right):
    assert lab.is_right(text, PROBLEM) is right


def test_counting():
    other = {"question": "And?", "answer": "#### 7"}
    good, odd = "2+3=<<2+3=5>>5\n#### 5", "1+3=<<1+3=5>>5\n#### 5"
    found = lab.count([PROBLEM, other], [[good, odd, good, "no"], ["#### 8"] * 4])
    assert found == lab.Measured(n=4, right=[3, 0], false_positives=1, chains=2.0)
    assert (found.pass_at_1, found.solved) == (3 / 8, 1 / 2)


def test_fine_tuning_learns_the_texts_and_leaves_its_argument():
    base, tokenizer = load_base("cpu")
    before = {name: p.clone() for name, p in base.named_parameters()}
    problems = make_problems(8, "train", seed=3)
    pairs = [(lab.prompt_of(p), p["answer"]) for p in problems]
    tuned = lab.fine_tune(base, tokenizer, pairs, steps=60, seed=1)
    assert all(torch.equal(before[name], p) for name, p in base.named_parameters())
    texts = lab.generator(tuned, tokenizer)([prompt for prompt, _ in pairs], 0.01, 1)
    right = sum(lab.is_right(t, p) for t, p in zip(texts, problems, strict=True))
    assert right >= 6


def test_lora_fine_tuning_gives_a_plain_model():
    base, tokenizer = load_base("cpu")
    pairs = [("1 + 1?\n", "#### 2")]
    tuned = lab.fine_tune(base, tokenizer, pairs, steps=2, rank=4)
    assert not any("lora" in name for name, _ in tuned.named_parameters())
    assert not any("lora" in name for name, _ in base.named_parameters())


def test_intervals_are_those_of_student():
    # Four values with mean 5 and standard deviation 2.5820 (n - 1): 3.182 * 2.5820 / 2.
    assert lab.mean_and_half([2, 4, 6, 8]) == (5, pytest.approx(4.108, abs=1e-3))


# ---------------------------------------------------------------- the recorded runs


def test_the_recorded_runs_are_whole():
    runs = lab.recorded()
    assert runs["command"].startswith("python scripts/star_runs.py --seeds 0 1 2 3 4")
    for arm in ("star", "control", "continue", "no_demonstrations", "imitation"):
        for number, seeds in runs["arms"][arm].items():
            assert len(seeds) >= 5, (arm, number)
            for facts in seeds.values():
                assert 0 <= facts["pass@1"] <= facts["pass@2"] <= facts["pass@8"] <= 1
    assert len(json.dumps(runs)) < 100_000


def test_star_beats_its_control_in_every_seed():
    # What the notebook's text says of the recorded runs.
    arms = lab.recorded()["arms"]
    star, control = arms["star"], arms["control"]
    best = {s: max(control[r][s]["pass@1"] for r in control) for s in control["1"]}
    differences = [star["3"][s]["pass@1"] - best[s] for s in best]
    mean, half = lab.mean_and_half(differences)
    assert min(differences) > 0 and mean - half > 0


@pytest.mark.slow
def test_blank_release_has_no_other_error_than_not_implemented():
    from autograder.build import errors, run_release

    names = {name for _, name, _ in errors(run_release(NOTEBOOK))}
    assert names == {"NotImplementedError"}


@pytest.mark.slow
def test_reference_runs_and_the_loop_learns():
    from autograder.build import run_reference

    notebook = run_reference(NOTEBOOK)
    outputs = [
        "".join(output["data"]["text/plain"])
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "text/plain" in output.get("data", {})
    ]
    (live,) = [text for text in outputs if "chains a solved problem" in text]
    rows = [line.split() for line in live.splitlines()[3:7]]
    assert float(rows[3][5]) > float(rows[0][5]) + 0.2


def test_answers_of_the_bank_define_their_exercise():
    bank = ROOT / "autograder" / "mutants" / NOTEBOOK
    for exercise in load_exercises(NOTEBOOK):
        answers = list((bank / exercise).glob("*/*.py"))
        assert len(answers) >= 12
        for path in answers:
            names = re.findall(r"^(?:def|class) (\w+)", path.read_text(), re.MULTILINE)
            assert exercise in names, path
