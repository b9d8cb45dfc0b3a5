"""Hostile and broken submissions, as data: what is handed in and what it must get.

Each attack is handed in by a student of its own for the notebook below, whose three exercises have
1, 4 and 2 points. Unless it says otherwise an attack aims at `victim`, the one in the middle, earns
nothing there and costs nothing elsewhere: scores (1, 0, 2), status "graded".

A new attack is an entry in one of the four lists; test_hostile.py grades them all in one class.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

ID = "93_hostile"
POINTS = {"early": 1, "victim": 4, "late": 2}
# Words that stand in the instructor's files alone: in no file that a student sees may they be.
SECRETS = ("amber_lantern", "cobalt_sparrow", "### BEGIN SOLUTION")
MARK = "hostile_was_here"  # the name of every file that an attack tries to leave behind

HIDDEN = """
import torch
from autograder.judging import Fail, check_close, check_equal, hidden

cobalt_sparrow = 7

@hidden("early", "adds one", core=True)
def adds(student, draw):
    n = draw.integers(0, 1000)
    check_equal(student.early(n), n + 1)

@hidden("victim", "scales a tensor", core=True, hint="Multiply.")
def scales(student, draw):
    x, k = draw.normal(3, 4), draw.uniform(2, 3)
    for _ in range(3):
        check_close(student.victim(x, k), x * k)

@hidden("victim", "zero gives zeros")
def zeros(student, draw):
    check_close(student.victim(draw.normal(2), 0.0), torch.zeros(2))

@hidden("victim", "is differentiable", weight=2)
def gradients(student, draw):
    x, c = draw.normal(5), draw.normal(5)
    _, found = student.gradients("victim", [x, 2.5], cotangent=c, wrt=[0])
    check_close(found[0], 2.5 * c)

@hidden("late", "calls the function for each item", core=True)
def calls(student, draw):
    items, seen = draw.integers(0, 99, 4).tolist(), []
    def note(item):
        seen.append(item)
        return item * cobalt_sparrow
    check_equal(student.late(note, items), [cobalt_sparrow * i for i in items])
    check_equal(seen, items, "the calls")
"""
SOLVED = {
    "early": "def early(n):\n    amber_lantern = n + 1\n    return amber_lantern",
    "victim": "def victim(x, k):\n    amber_lantern = x * k\n    return amber_lantern",
    "late": "def late(f, items):\n    amber_lantern = map(f, items)\n    return [*amber_lantern]",
}
HONEST = {
    "early": "def early(n):\n    return 1 + n",
    "victim": "def victim(x, k):\n    return k * x",
    "late": "def late(f, items):\n    return [f(item) for item in items]",
}


@dataclass(frozen=True)
class Attack:
    """One submission. What it is made of, first to last: `cell` takes the place of the answer to
    `victim`; `edit` changes the notebook (a dict) or turns it into bytes; `place` puts the bytes
    where they are to be found, by default into the one file that is looked for."""

    name: str
    family: str  # "forging", "channel", "damage" or "broken"
    cell: str | None = None
    edit: Callable | None = None
    place: Callable | None = None  # (folder of the assignment, bytes of the submission)
    student: str | None = None  # the folder's name; by default made of the attack's
    scores: tuple[float, float, float] = (1, 0, 2)
    status: str = "graded"  # of `victim`; a|b where the machine decides
    message: str = ""  # a regular expression found in the message of `victim`
    slow: bool = False
    walled: bool = False  # harmless only in the sandbox: left out where there is none


def source():
    """The instructor's notebook."""
    cells = [new_code_cell("import math, torch\nfrom torch import nn\ndef check(*_): pass")]
    cells[0].metadata.tags = ["setup"]
    for name, points in POINTS.items():
        head, *body = SOLVED[name].split("\n")
        lines = [f"# exercise: {name}", head, "    ### BEGIN SOLUTION", *body]
        cells.append(_marked("\n".join([*lines, "    ### END SOLUTION"]), name, solution=True))
        test = f'check("{name}", {name})\n### BEGIN HIDDEN TESTS\nhidden("{name}")\n'
        test += "### END HIDDEN TESTS"
        cells.append(_marked(test, f"test_{name}", grade=True, locked=True, points=points))
    for index, cell in enumerate(cells):
        cell.id = cell.metadata.get("nbgrader", {}).get("grade_id", f"cell-{index}")
    return new_notebook(cells=cells)


def _marked(text, grade_id, **nbgrader):
    rest = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3}
    marks = NotebookNode({**rest, "grade_id": grade_id, **nbgrader})
    return new_code_cell(text, metadata={"nbgrader": marks})


def notebook(**cells):
    """A notebook handed in, as a dict: honest answers, but for the cells given."""
    made = copy.deepcopy(source())
    for cell in made.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if name in POINTS:
            cell.source = f"# exercise: {name}\n{ {**HONEST, **cells}[name] }"
        cell.source = cell.source.partition("\n### BEGIN HIDDEN")[0]
    return json.loads(json.dumps(made))


def submission(attack):
    """The bytes that an attack hands in."""
    made = notebook(**({} if attack.cell is None else {"victim": attack.cell}))
    if attack.edit is not None:
        changed = attack.edit(made)
        made = made if changed is None else changed
    return made if isinstance(made, bytes) else json.dumps(made).encode()


def load():
    """All attacks, by family."""
    from attacks import broken, channel, damage, forging

    return [*forging.ATTACKS, *channel.ATTACKS, *damage.ATTACKS, *broken.ATTACKS]
