"""Grading again: who changes, by which exercise, and nothing written before."""

import copy
import os

import pytest
import test_grade
import tiny

from autograder import record, regrade

STRICTER = (
    tiny.HIDDEN
    + """
@hidden("shift", "takes no time for nothing", weight=4)
def nothing(student, draw):
    check_close(student.shift(draw.normal(2), 0), 31337 + draw.normal(2))
"""
)


def test_compare_tells_scores_and_the_checks_behind_them():
    before, after = (
        [tiny.result("ada"), tiny.result("ben")],
        [tiny.result("ada"), tiny.result("ben")],
    )
    shift = after[1]["verdicts"][1]
    shift.update(score=4.0, message="all pass")
    shift["properties"] = [["whole numbers", True, ""], ["down too", True, ""]]
    [change] = regrade.compare(before, after)
    assert (change.student, change.exercise, change.before, change.after) == (
        "ben", "shift", "3 / 4", "4 / 4",
    )  # fmt: skip
    assert change.gain == 1.0 and change.why == "+ down too"
    lines = regrade.table([change], 2)
    assert lines[0] == "1 of 2 students change: 1 gain, 0 lose"
    assert lines[1] == f"  {tiny.ID} shift: 1 students, +1.00 points together"
    assert regrade.table([], 2) == ["no score changes (2 students)"]


def test_statuses_hand_grades_and_missing_results_are_changes_too():
    before, after = [tiny.result("ada")], [tiny.result("ada"), tiny.result("new")]
    after[0]["verdicts"][0].update(score=0.0, status="timeout", message="too slow", properties=[])
    after[0]["verdicts"][2].update(score=0.0, status="graded")
    found = {(c.student, c.exercise): (c.before, c.after) for c in regrade.compare(before, after)}
    assert found["ada", "double"] == ("2 / 2", "0 / 2 timeout")
    assert found["ada", "essay"] == ("waits", "0 / 0")
    assert found["new", "shift"] == ("-", "3 / 4")
    assert regrade.compare(before, copy.deepcopy(before)) == []


def tree(folder):
    return {
        path: (os.lstat(path).st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


def test_diff_writes_nothing_and_the_real_one_writes_what_it_said(tmp_path):
    half = tiny.answer(shift="# exercise: shift\ndef shift(x, by):\n    return x + abs(by)")
    tiny.submit(tmp_path / "submitted", ada=tiny.answer(), half=half)
    test_grade.run(tmp_path, workers=1)
    with record.open_gradebook(tmp_path / "out") as gradebook:
        grading = gradebook.find_grade("test_double", tiny.ID, tiny.ID, "ada")
        grading.manual_score = 1.5
        gradebook.db.commit()
    before = tree(tmp_path / "out")
    options = {
        "sources": {tiny.ID: tiny.source()},
        "hidden": {tiny.ID: STRICTER},
        "limits": test_grade.LIMITS,
        "workers": 1,
    }
    lines = []
    changes, interrupted = regrade.regrade(
        tmp_path / "submitted", tmp_path / "out", diff=True, say=lines.append, **options
    )
    assert not interrupted and tree(tmp_path / "out") == before
    told = {(c.student, c.exercise): (c.before, c.after, c.why) for c in changes}
    assert told["ada", "shift"] == ("4 / 4", "2 / 4", "- takes no time for nothing (new)")
    assert told["half", "shift"][:2] == ("3 / 4", "1.5 / 4")
    assert told["ada", "double"][1] == "1.5 / 2"  # a grader's score, known to the gradebook alone
    assert "2 of 2 students change: 0 gain, 2 lose" in lines
    assert lines[-1].startswith("nothing was written")
    again, _ = regrade.regrade(
        tmp_path / "submitted", tmp_path / "out", diff=False, say=lines.append, **options
    )
    assert again == changes
    assert test_grade.table(tmp_path)["ada", "shift"] == ("2", "graded")
    assert test_grade.table(tmp_path)["ada", "double"] == ("1.5", "graded")


def test_nothing_to_compare_with_is_one_line(tmp_path):
    with pytest.raises(record.RecordError, match="run `autograder grade` first"):
        regrade.regrade(tmp_path, tmp_path / "out", diff=True)
    assert not (tmp_path / "out").exists()
