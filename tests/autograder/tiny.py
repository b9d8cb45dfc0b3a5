"""A notebook of two small exercises and an answer in words, for the tests of grading."""

import copy
import json

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ID = "90_tiny"
INLINE = "91_inline"
SOLVED = {
    "double": "# exercise: double\ndef double(x):\n    return x + x",
    "shift": "# exercise: shift\ndef shift(x, by):\n    return x + by",
}
SECRET = "the sum of 31337 parts"
HIDDEN = f'''
from autograder.judging import Fail, check_close, hidden

SECRET = "{SECRET}"

@hidden("double", "twice the argument", core=True, hint="Add it to itself.")
def twice(student, draw):
    x = draw.normal(3)
    check_close(student.double(x), 2 * x)

@hidden("shift", "shifts by a whole number", weight=3)
def whole(student, draw):
    x, by = draw.normal(4), draw.integers(1, 9)
    check_close(student.shift(x, by), x + by)

@hidden("shift", "shifts down too", hint="Is abs in the way?")
def down(student, draw):
    x = draw.normal(4)
    check_close(student.shift(x, -3), x - 3)
'''


def source():
    """The instructor's notebook: double (2 points), shift (4 points), essay (by hand, 0 points)."""
    cells = [new_code_cell("import torch\n\ndef check(*_):\n    print('looks right')")]
    cells[0].metadata.tags = ["setup"]
    for name, points in (("double", 2), ("shift", 4)):
        anchor, head, *body = SOLVED[name].split("\n")
        body = ["    ### BEGIN SOLUTION", *body, "    ### END SOLUTION"]
        cells.append(_marked(new_code_cell("\n".join([anchor, head, *body])), name, solution=True))
        test = f'check("{name}", {name})\n### BEGIN HIDDEN TESTS\nhidden("{name}")\n'
        test = new_code_cell(test + "### END HIDDEN TESTS")
        cells.append(_marked(test, f"test_{name}", grade=True, locked=True, points=points))
    essay = new_markdown_cell("### BEGIN SOLUTION\nIt rose.\n### END SOLUTION")
    cells.append(_marked(essay, "essay", grade=True, solution=True, points=0))
    for index, cell in enumerate(cells):
        cell.id = cell.metadata.get("nbgrader", {}).get("grade_id", f"cell-{index}")
    return new_notebook(cells=cells)


def inline_source():
    """Another course's notebook: its hidden test stands in the cell."""
    notebook = source()
    del notebook.cells[3:]
    test = "### BEGIN HIDDEN TESTS\nassert double(21) == 42  # the sum of 31337 parts\n"
    notebook.cells[2].source = test + "### END HIDDEN TESTS"
    return notebook


def answer(**changed):
    """The bytes of a submission: the reference solution but for the cells given."""
    notebook = blank()
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        if grade_id in SOLVED:
            cell.source = {**SOLVED, **changed}[grade_id]
        elif grade_id == "essay":
            cell.source = changed.get("essay", "I saw it rise.")
    return json.dumps(notebook).encode()


def blank():
    """The notebook as released."""
    notebook = copy.deepcopy(source())
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if grade_id in SOLVED:
            head = "\n".join(SOLVED[grade_id].split("\n")[:2])
            cell.source = f"{head}\n    raise NotImplementedError"
        elif grade_id == "essay":
            cell.source = "*Your answer here.*"
        cell.source = cell.source.partition("### BEGIN HIDDEN")[0].rstrip()
    return notebook


def submit(folder, assignment=ID, **students):
    """Write submissions student=bytes below `folder` in nbgrader's layout; returns the folder."""
    for student, data in students.items():
        path = folder / student / assignment / f"{assignment}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    return folder


def autograded(scores):
    """The reference solution as graded: exercise -> (score, message) written in its test cell."""
    from types import SimpleNamespace

    from autograder.record import write_scores

    notebook = source()
    verdicts = {
        name: SimpleNamespace(score=score, message=message)
        for name, (score, message) in scores.items()
    }
    write_scores(notebook, verdicts)
    return notebook


def result(student="ada", **changed):
    """A result as it is kept: double 2 of 2, shift 3 of 4, essay by hand."""
    verdict = {"status": "graded", "message": "", "seconds": 0.1, "properties": []}
    verdicts = [
        {**verdict, "exercise": "double", "score": 2.0, "max_score": 2.0},
        {
            **verdict,
            "exercise": "shift",
            "score": 3.0,
            "max_score": 4.0,
            "message": "shifts down too: wrong values",
            "properties": [["whole numbers", True, ""], ["down too", False, "wrong values"]],
        },
        {**verdict, "exercise": "essay", "score": None, "max_score": 0.0, "status": "ungraded"},
    ]
    made = {
        "student": student,
        "assignment": ID,
        "verdicts": verdicts,
        "repairs": [],
        "problems": [],
        "seconds": {"total": 0.5},
    }
    return {**made, **changed}


def _marked(cell, grade_id, **nbgrader):
    rest = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3}
    cell.metadata.nbgrader = NotebookNode({**rest, "grade_id": grade_id, **nbgrader})
    return cell
