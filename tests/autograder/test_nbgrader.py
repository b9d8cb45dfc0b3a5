"""Real nbgrader commands with this grader inside: same scores, nothing lost, nothing leaked."""

import base64
import concurrent.futures
import contextlib
import copy
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from autograder import build, record
from autograder.restore import Unreadable, blank_notebook, restore
from autograder.sandbox import bwrap_problem

SANDBOX = "auto" if bwrap_problem() is None else "none"
SOLUTION = """\
# %% tags=["setup"]
import math

check = print

# %% [markdown] about="double"
# Twice.

# %% exercise="double"
# exercise: double
def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


# %% test="double"
check("double", double)
### BEGIN HIDDEN TESTS
hidden("double")
### END HIDDEN TESTS

# %% [markdown] about="half"
# Half.

# %% exercise="half"
# exercise: half
def half(x):
    ### BEGIN SOLUTION
    return x / 2
    ### END SOLUTION


# %% test="half"
check("half", half)
### BEGIN HIDDEN TESTS
hidden("half")
### END HIDDEN TESTS

# %% manual="words" points=0
# A model answer.
"""
TOML = """\
title = "Tiny"
[[exercise]]
name = "double"
points = 15
difficulty = 1
minutes = 1
hints = ["a", "b", "c"]
[[exercise]]
name = "half"
points = 5
difficulty = 1
minutes = 1
hints = ["a", "b", "c"]
"""
HIDDEN_TESTS = """\
from autograder.judging import check_close, check_equal, hidden


@hidden("double", "whole numbers", weight=2)
def whole(student, draw):
    check_equal(student.double(21), 42)  # SECRET


@hidden("double", "tensors", hint="Only numbers?")
def tensors(student, draw):
    x = draw.normal(3)
    check_close(student.double(x), x + x)


@hidden("half", "a number")
def number(student, draw):
    check_close(student.half(5.0), 2.5)
"""
# Another course's notebook, with its hidden tests in its cells as stock nbgrader has them.
FOREIGN = {
    "solution": "def square(x):\n    ### BEGIN SOLUTION\n    return x * x\n    ### END SOLUTION",
    "test": "assert square(2) == 4\n### BEGIN HIDDEN TESTS\nassert square(SECRET := 3) == 9\n"
    "### END HIDDEN TESTS",
}
GOOD = {"double": "def double(x):\n    return x + x", "half": "def half(x):\n    return 0.5 * x"}


def command(course, *arguments, ok=0):
    """Run nbgrader from a venv that is not activated."""
    ran = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course,
        env={**os.environ, "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert ran.returncode == ok, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def foreign_source():
    marks = {"locked": False, "schema_version": 3, "task": False, "grade": False, "solution": False}
    cells = [
        nbformat.v4.new_code_cell(
            FOREIGN["solution"],
            id="square",
            metadata={"nbgrader": {**marks, "grade_id": "square", "solution": True}},
        ),
        nbformat.v4.new_code_cell(
            FOREIGN["test"],
            id="t1",
            metadata={"nbgrader": {**marks, "grade_id": "t1", "grade": True, "points": 4}},
        ),
    ]
    cells[1].metadata.nbgrader.locked = True
    return nbformat.v4.new_notebook(cells=cells, metadata=copy.deepcopy(build.METADATA))


def answered(blank, answers):
    notebook = copy.deepcopy(blank)
    for cell in notebook.cells:
        if cell.id in answers:
            cell.source = answers[cell.id]
    return notebook


def make_course(tmp_path_factory):
    """A course directory with two assignments and what a class handed in."""
    root = tmp_path_factory.mktemp("course")
    text = tmp_path_factory.mktemp("text")  # not in the course: nbgrader imports from there
    (text / "solutions").mkdir()
    (text / "course_lib" / "exercises").mkdir(parents=True)
    (root / "hidden").mkdir()
    (text / "solutions" / "01_tiny.py").write_text(SOLUTION)
    (text / "course_lib" / "exercises" / "01_tiny.toml").write_text(TOML)
    (root / "hidden" / "01_tiny.py").write_text(HIDDEN_TESTS)
    tiny, other = build.source_notebook("01_tiny", text), foreign_source()
    for name, source in (("01_tiny", tiny), ("ps1", other)):
        path = root / "source" / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(build.notebook_text(source))
    (root / "nbgrader_config.py").write_text(
        "from autograder.nbgrader_config import configure\n"
        "c = get_config()\nconfigure(c)\n"
        f"c.GradeSubmission.sandbox = {SANDBOX!r}\n"
        f"c.GradeSubmission.hidden_directory = {str(root / 'hidden')!r}\n"
        "c.GradeSubmission.limits = {'cell_seconds': 5, 'call_seconds': 5}\n"
    )

    def hand_in(student, name, data):
        path = root / "submitted" / student / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
        return path

    blank = blank_notebook(tiny)
    good = answered(blank, GOOD)
    hand_in("ann", "01_tiny", good)
    hand_in("blank", "01_tiny", blank)
    half = {**GOOD, "double": "def double(x):\n    return int(x) * 2 if type(x) is int else x"}
    partly = hand_in("partly", "01_tiny", answered(blank, half))
    noisy = "import sys, warnings\nwarnings.warn('hm')\nprint('oops', file=sys.stderr)\n"
    noise = answered(blank, {**GOOD, "double": noisy + GOOD["double"], "words": "It **works**."})
    noise.cells[0].source += "\nprint('SET-UP', file=__import__('sys').stderr)"
    hand_in("noisy", "01_tiny", noise)
    twice = copy.deepcopy(good)
    twice.cells.insert(3, copy.deepcopy(twice.cells[2]))
    for cell in twice.cells:
        if cell.id.startswith("test_"):
            cell.source, cell.metadata.nbgrader.points = "print('easy')", 1000
    hand_in("twice", "01_tiny", twice)
    hand_in("exits", "01_tiny", answered(blank, {**GOOD, "half": "import os\nos._exit(0)"}))
    hand_in("broken", "01_tiny", b'{"cells": [')
    link = hand_in("thief", "01_tiny", b"")
    link.unlink()
    link.symlink_to(partly)
    (link.parent / "data.txt").symlink_to("/etc/hostname")
    os.mkfifo(link.parent / "pipe.txt")

    other_blank = blank_notebook(other)
    square = answered(other_blank, {"square": "def square(x):\n    return x ** 2"})
    square.cells.insert(0, nbformat.v4.new_code_cell("mine = 1", id="mine"))
    hand_in("ann", "ps1", square)
    hand_in("cheat", "ps1", answered(other_blank, {"square": "def square(x):\n    return 4"}))
    loud = "import sys\ndef square(x):\n    print(1, file=sys.stderr)\n    return x * x"
    hand_in("loud", "ps1", answered(other_blank, {"square": loud}))

    return root


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course directory after `nbgrader generate_assignment` and `nbgrader autograde`."""
    root = make_course(tmp_path_factory)
    command(root, "generate_assignment", "01_tiny")
    command(root, "generate_assignment", "ps1")
    root.joinpath("log.txt").write_text(command(root, "autograde", "01_tiny"))
    command(root, "autograde", "ps1")
    return root


def scores(course, assignment, database="gradebook.db"):
    """student -> {grade_id: auto_score} as the gradebook holds them."""
    query = (
        "select student.id, base_cell.name, grade.auto_score from grade"
        " join base_cell on grade.cell_id = base_cell.id"
        " join submitted_notebook on grade.notebook_id = submitted_notebook.id"
        " join submitted_assignment on submitted_notebook.assignment_id = submitted_assignment.id"
        " join student on submitted_assignment.student_id = student.id"
        " join notebook on submitted_notebook.notebook_id = notebook.id where notebook.name = ?"
    )
    found = {}
    with sqlite3.connect(course / database) as connection:
        for student, cell, score in connection.execute(query, (assignment,)):
            found.setdefault(student, {})[cell] = score
    return found


EXPECTED = {
    "ann": {"test_double": 15.0, "test_half": 5.0, "words": 0.0},
    "blank": {"test_double": 0.0, "test_half": 0.0, "words": 0.0},
    "partly": {"test_double": 10.0, "test_half": 5.0, "words": 0.0},
    "noisy": {"test_double": 15.0, "test_half": 5.0, "words": None},
    "twice": {"test_double": 15.0, "test_half": 5.0, "words": 0.0},
    "exits": {"test_double": 15.0, "test_half": 0.0, "words": 0.0},
    "broken": {"test_double": 0.0, "test_half": 0.0, "words": 0.0},
    "thief": {"test_double": 0.0, "test_half": 0.0, "words": 0.0},
}


@pytest.mark.slow
def test_every_submission_has_its_score(course):
    assert scores(course, "01_tiny") == EXPECTED


@pytest.mark.slow
def test_another_course_is_graded_by_nbgraders_rules(course):
    # "loud" fails in stock nbgrader too: any stderr in a test cell is zero there.
    assert scores(course, "ps1") == {
        "ann": {"t1": 4.0}, "cheat": {"t1": 0.0}, "loud": {"t1": 0.0},
    }  # fmt: skip
    notebook = nbformat.read(course / "autograded/ann/ps1/ps1.ipynb", as_version=4)
    assert notebook.cells[0].source == "mine = 1"


@pytest.mark.slow
def test_the_log_has_one_line_for_each_problem(course):
    log = (course / "log.txt").read_text()
    for line in (
        "broken/01_tiny: unreadable: not a notebook: broken JSON at line 1",
        "thief/01_tiny: unreadable: 01_tiny.ipynb is not a plain file",
        "twice/01_tiny: double: cell 4 was used; cell 3 also looked like an answer",
        "twice/01_tiny: test_half was changed; the instructor's was put in its place",
        "exits/01_tiny: half: crash",
    ):
        assert line in log, log
    assert "Traceback" not in log


@pytest.mark.slow
def test_links_and_pipes_go_no_further(course):
    folder = course / "autograded" / "thief" / "01_tiny"
    assert sorted(path.name for path in folder.iterdir()) == ["01_tiny.ipynb"]
    text = (folder / "01_tiny.ipynb").read_text()
    assert "Not graded" in text and "type(x) is int" not in text


@pytest.mark.slow
def test_the_graded_notebook_shows_score_message_and_outputs(course):
    notebook = nbformat.read(course / "autograded/noisy/01_tiny/01_tiny.ipynb", as_version=4)
    nbformat.validate(notebook)
    test = next(cell for cell in notebook.cells if cell.id == "test_double")
    assert test.outputs[0].output_type == "execute_result"
    assert test.outputs[0].data["text/plain"] == "15"
    assert test.outputs[1].output_type == "display_data"
    solution = next(cell for cell in notebook.cells if cell.id == "double")
    assert any("oops" in output.get("text", "") for output in solution.outputs)
    words = next(cell for cell in notebook.cells if cell.id == "words")
    assert words.source == "It **works**."
    assert "SET-UP" not in json.dumps(notebook)


@pytest.mark.slow
def test_feedback_holds_no_hidden_test(course):
    for name in ("01_tiny", "ps1"):
        command(course, "generate_feedback", name)
    pages = list((course / "feedback").glob("*/*/*.html"))
    assert len(pages) == 8 + 3
    for page in pages:
        text = page.read_text()
        assert "SECRET" not in text and "HIDDEN TESTS" not in text and "hidden(" not in text
        assert "<" in text
    assert "AssertionError" in (course / "feedback/cheat/ps1/ps1.html").read_text()


@pytest.mark.slow
def test_autograder_grade_gives_the_same_scores(course, tmp_path):
    from autograder.grade import grade
    from autograder.sandbox import Limits

    source = nbformat.read(course / "source/01_tiny/01_tiny.ipynb", as_version=4)
    out = tmp_path / "out"
    out.mkdir()
    (out / ".course_seed").write_text((course / ".course_seed").read_text())
    grade(
        course / "submitted",
        out,
        assignment="01_tiny",
        workers=1,
        sandbox=SANDBOX,
        limits=Limits(cell_seconds=5, call_seconds=5),
        sources={"01_tiny": source},
        hidden={"01_tiny": HIDDEN_TESTS},
        say=lambda line: None,
    )
    found = scores(out, "01_tiny")
    absent = set(found) - set(EXPECTED)  # they handed in ps1 alone
    assert absent == {"cheat", "loud"}
    assert {student: found[student] for student in EXPECTED} == EXPECTED


@pytest.mark.slow
def test_formgraders_button_grades_again(course):
    """formgrader calls NbGraderAPI.autograde, inside the server's running event loop."""
    path = course / "submitted" / "partly" / "01_tiny" / "01_tiny.ipynb"
    before = path.read_text()
    path.write_text(before.replace("return int(x) * 2 if type(x) is int else x", "return 2 * x"))
    code = (
        "import asyncio\n"
        "from nbgrader.apps import NbGrader, NbGraderAPI\n"
        "app = NbGrader()\napp.initialize([])\n"
        "api = NbGraderAPI(app.coursedir, parent=app)\n"
        "async def press():\n    return api.autograde('01_tiny', 'partly')\n"
        "result = asyncio.run(press())\n"
        "assert result['success'], result\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=course, capture_output=True, text=True, check=False
    )
    path.write_text(before)
    assert ran.returncode == 0, ran.stderr
    assert scores(course, "01_tiny")["partly"]["test_double"] == 15.0


class FakeJudge:
    """In place of the worker process: full marks for every judged exercise of a notebook."""

    def submit(self, function, job):
        future = concurrent.futures.Future()
        task = json.loads(job)
        source = nbformat.reads(task["source"], as_version=4)
        try:
            restored = restore(base64.b64decode(task["submission"]), source)
        except Unreadable:
            future.set_result(function(job))
            return future
        verdicts = {
            exercise: SimpleNamespace(score=points - 0.5, message="all but half a point")
            for exercise, grade_id, points in record.graded_cells(source)
            if grade_id.startswith("test_")
        }
        record.write_scores(restored.notebook, verdicts)
        result = {"notebook": restored.notebook, "repairs": restored.report, "verdicts": []}
        future.set_result(json.dumps(result).encode())
        return future


def test_converters_with_another_judge(tmp_path_factory, monkeypatch):
    """The way through nbgrader's converters and database, in this process."""
    from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
    from nbgrader.converters.base import NbGraderException
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config

    from autograder import preprocessors
    from autograder.nbgrader_config import configure

    root = make_course(tmp_path_factory)
    monkeypatch.setattr(preprocessors, "_workers_of", lambda limits: FakeJudge())
    c = Config()
    configure(c)
    c.GradeSubmission.hidden_directory = str(root / "hidden")
    c.CourseDirectory.root, c.CourseDirectory.assignment_id = str(root), "01_tiny"
    # The text of nbgrader's exception says nothing; its log does.
    with build.quiet_nbgrader() as said, contextlib.suppress(NbGraderException):
        for converter in (GenerateAssignment, Autograde, GenerateFeedback):
            converter(coursedir=CourseDirectory(config=c), config=c).start()
    assert said.getvalue() == ""
    full = {"test_double": 14.5, "test_half": 4.5, "words": 0.0}
    none = {"test_double": 0.0, "test_half": 0.0, "words": 0.0}
    hurt = dict.fromkeys(("broken", "thief"), none)
    whole = dict.fromkeys(("ann", "blank", "partly", "twice", "exits"), full)
    assert scores(root, "01_tiny") == {**whole, **hurt, "noisy": {**full, "words": None}}
    release = nbformat.read(root / "release/01_tiny/01_tiny.ipynb", as_version=4)
    assert "raise NotImplementedError" in release.cells[2].source
    for page in (root / "feedback").glob("*/01_tiny/01_tiny.html"):
        text = page.read_text()
        assert "hidden(" not in text and "HIDDEN TESTS" not in text
    assert "all but half a point" in (root / "feedback/ann/01_tiny/01_tiny.html").read_text()


def test_hidden_tests_leave_no_line_in_feedback():
    from autograder.preprocessors import HideTests

    source = foreign_source()
    trace = ["AssertionError  Traceback", "----> assert square(SECRET := 3) == 9"]
    source.cells[1].outputs = [
        nbformat.v4.new_output("error", ename="AssertionError", evalue="SECRET", traceback=trace)
    ]
    shown, _ = HideTests().preprocess(source, {})
    assert "SECRET" not in json.dumps(shown) and "AssertionError" in json.dumps(shown)
    assert shown.cells[1].source == "assert square(2) == 4"
    assert shown.cells[0].source == FOREIGN["solution"]


def test_configuration_names_only_what_nbgrader_has():
    from nbgrader.converters import Autograde, GenerateFeedback
    from traitlets.config import Config

    from autograder.nbgrader_config import configure

    c = Config()
    configure(c)
    for kind in (Autograde, GenerateFeedback):
        assert set(c[kind.__name__]) <= set(kind.class_traits(config=True)) | {"pre_convert_hook"}
    alembic = Path(sys.executable).parent / "alembic"
    assert not alembic.exists() or str(alembic.parent) in os.environ["PATH"].split(os.pathsep)
