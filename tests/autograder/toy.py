"""A small notebook with hidden tests of its own, to test the judge with."""

from dataclasses import replace

from autograder.judge import Step, judge_notebook
from autograder.sandbox import Limits

HIDDEN = """
import torch
from torch import nn
from autograder.judging import *

@hidden("early", "adds one", core=True)
def _(student, draw):
    n = draw.integers(0, 1000)
    check_equal(student.early(n), n + 1)

@hidden("victim", "scales a tensor", core=True, hint="Multiply.")
def _(student, draw):
    x = draw.normal(3, 4)
    k = draw.uniform(2, 3)
    for _ in range(3):
        check_close(student.victim(x, k), x * k)

@hidden("victim", "calls nothing twice")
def _(student, draw):
    check_close(student.victim(draw.normal(2), 0.0), torch.zeros(2))

@hidden("victim", "is differentiable", weight=2)
def _(student, draw):
    x, c = draw.normal(5), draw.normal(5)
    _, gradients = student.gradients("victim", [x, 2.5], cotangent=c, wrt=[0])
    check_close(gradients[0], 2.5 * c)

@hidden("late", "calls the function for each item", core=True)
def _(student, draw):
    items, seen = draw.integers(0, 99, 4).tolist(), []
    def note(item):
        seen.append(item)
        return item * 7
    check_equal(student.late(note, items), [7 * i for i in items])
    check_equal(seen, items, "the calls")
"""

SETUP = Step("setup", None, "import math, torch\nfrom torch import nn")
RIGHT = {
    "early": "def early(n):\n    return n + 1",
    "victim": "def victim(x, k):\n    return x * k",
    "late": "def late(f, items):\n    return [f(i) for i in items]",
}
POINTS = {"early": 1.0, "victim": 4.0, "late": 2.0}
# Long enough for an honest call on a busy machine, short enough to test what hangs.
LIMITS = replace(Limits(), call_seconds=2, cell_seconds=5, notebook_seconds=60)


def judge_toy(warm_pair, *, steps=None, seed=b"toy", hidden=HIDDEN, points=POINTS, **cells):
    """Verdicts of the toy notebook with some of its solution cells replaced (None: missing)."""
    if steps is None:
        answers = {name: source for name, source in (RIGHT | cells).items() if source is not None}
        steps = [SETUP, *(Step("solution", name, source) for name, source in answers.items())]
    return judge_notebook(
        "toy", steps, seed, *warm_pair, LIMITS, points=points, hidden_source=hidden
    )


def scores(verdicts):
    return {name: verdict.score for name, verdict in verdicts.items()}
