import csv

import pytest

from autograder import selftest as module
from autograder.judge import Verdict
from autograder.selftest import Answer, read_bank, selftest

NOTEBOOK, EXERCISE = "01_gqa_moe", "repeat_kv"
ANSWERS = {
    "right/repeat_interleave": "def repeat_kv(x, n_rep):\n    return x.repeat_interleave(n_rep, 1)",
    "wrong/tiled": "def repeat_kv(x, n_rep):\n    return x.repeat(1, n_rep, 1, 1)",
    "wrong/leaves": "import os\nos._exit(0)",
}


@pytest.fixture
def bank(tmp_path):
    def make(answers, exercise=EXERCISE, notebook=NOTEBOOK):
        for name, source in answers.items():
            path = tmp_path / "bank" / notebook / exercise / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        return tmp_path / "bank"

    return make


@pytest.fixture
def warm_answers(warm_pair, monkeypatch, tmp_path):
    """selftest on the warm processes of the test session, writing to a temporary folder."""

    class Given:
        def __init__(self, warm):
            self.warm = warm

        def __enter__(self):
            return self.warm

        def __exit__(self, *_):
            pass

    pair = dict(zip(("student", "judge"), warm_pair, strict=True))
    monkeypatch.setattr(module, "start_warm", lambda role, *_, **__: Given(pair[role]))
    monkeypatch.chdir(tmp_path)


def rows():
    with open("selftest.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_good_bank(bank, warm_answers, capsys):
    assert selftest(bank(ANSWERS)) == 0
    got = rows()
    assert list(got[0]) == ["notebook", "exercise", "kind", "name", "score", "max_score", "ok"]
    assert {(r["kind"], r["name"], r["score"], r["max_score"], r["ok"]) for r in got} == {
        ("right", "repeat_interleave", "2", "2", "True"),
        ("wrong", "tiled", "0", "2", "True"),
        ("wrong", "leaves", "0", "2", "True"),
    }
    assert "2 of 2" in capsys.readouterr().out


def test_a_wrong_answer_with_full_marks_and_a_right_one_without(bank, warm_answers, capsys):
    swapped = {"wrong/a": ANSWERS["right/repeat_interleave"], "right/b": ANSWERS["wrong/tiled"]}
    assert selftest(bank(swapped)) == 1
    assert {r["ok"] for r in rows()} == {"False"}
    out = capsys.readouterr().out
    assert "wrong/a: gets full marks" in out and "right/b: repeat_kv 0/2" in out


def test_a_right_answer_must_keep_the_other_exercises(bank, warm_answers, capsys):
    source = ANSWERS["right/repeat_interleave"] + "\ntorch.Tensor.topk = torch.topk = None"
    assert selftest(bank({"right/vandal": source})) == 1
    [row] = rows()
    assert (row["score"], row["ok"]) == ("2", "False")


@pytest.mark.parametrize(
    "notebook, exercise, name, problem",
    [
        ("99_nope", EXERCISE, "wrong/a", "there is no notebook '99_nope'"),
        (NOTEBOOK, "nope", "wrong/a", "there is no exercise 'nope'"),
        (NOTEBOOK, EXERCISE, "bad/a", "must be called wrong or right"),
    ],
)
def test_a_bad_bank_in_one_line(bank, warm_answers, capsys, notebook, exercise, name, problem):
    assert selftest(bank({name: "x = 1"}, exercise, notebook)) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert problem in line and rows() == []


def test_no_bank_and_an_empty_one(tmp_path):
    assert "there is no folder" in read_bank(tmp_path / "nope")[1][0]
    assert "holds no answers" in read_bank(tmp_path)[1][0]


def test_the_number_of_a_notebook_may_be_left_out(bank):
    answers, problems = read_bank(bank(ANSWERS, notebook="gqa_moe"))
    assert not problems and {a.notebook for a in answers} == {NOTEBOOK}


def test_one_exercise_alone():
    answers, problems = read_bank(module.OWN_BANK, exercise=EXERCISE)
    assert not problems and {a.exercise for a in answers} == {EXERCISE}
    assert module._too_few(answers, [NOTEBOOK], EXERCISE) == []
    answers, [problem] = read_bank(module.OWN_BANK, "05_star", EXERCISE)
    assert not answers and f"no exercise {EXERCISE!r} (there are " in problem


def test_an_exercise_without_hidden_tests_is_never_ok():
    answer = Answer(NOTEBOOK, EXERCISE, "wrong", "a", "")
    verdict = Verdict(EXERCISE, 0.0, 2.0, "ungraded", "there is no hidden test")
    assert not module._result(answer, {EXERCISE: verdict}).ok


def test_own_bank_needs_enough_answers():
    answers = [Answer(NOTEBOOK, EXERCISE, "wrong", str(i), "") for i in range(7)]
    lines = [line for line in module._too_few(answers, [NOTEBOOK]) if f"/{EXERCISE}:" in line]
    assert [line.split(": ")[1] for line in lines] == [
        "7 wrong answers, 8 are asked",
        "0 right answers, 4 are asked",
    ]
