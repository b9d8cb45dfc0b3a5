import json
import math
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy import HIDDEN, LIMITS, POINTS, RIGHT, SETUP, judge_toy, scores

from autograder import judge
from autograder.channel import Ref
from autograder.judge import Step, judge_notebook
from autograder.judging import (
    Draw,
    Fail,
    Handle,
    StudentError,
    check_close,
    check_equal,
    check_raises,
    check_type,
    derive_seed,
    known_error,
    load_hidden,
)

PRELUDE = "import torch\nfrom torch import nn\nfrom autograder.judging import *\n"
HANDLE = Handle(None, Ref(1, "Passed"))
SETTINGS = {"notebook": "toy", "seed": "00", "hidden": HIDDEN, "call_seconds": 9, "debug": False}
SETTINGS["files"] = {}


def fails(check, *args, **kwargs):
    with pytest.raises(Fail) as info:
        check(*args, **kwargs)
    return str(info.value)


# ---------------------------------------------------------------- comparisons

NAN, INF = float("nan"), float("inf")
T = torch.tensor


@pytest.mark.parametrize(
    "got, want",
    [
        (T([1.0, 2.0]), T([1.0, 2.00001])),
        (T([NAN, INF, -INF]), T([NAN, INF, -INF])),
        (T([]), T([])),
        (T([0.0]), T([0.0])),
        (T([1, 2]), T([1, 2])),
        (T([True]), T([True])),
        (T([1e-9, 1.0]), T([0.0, 1.0])),
        (0.3, 0.1 + 0.2),
        (1, 1.0),
        (3, 3),
        (INF, INF),
        ({"a": [1.0, T([2.0])]}, {"a": [1.0, T([2.0])]}),
        ((1, "x", None), (1, "x", None)),
        (Decimal("1.0"), Decimal("1.00")),
    ],
)
def test_close(got, want):
    check_close(got, want)


@pytest.mark.parametrize(
    "got, want, message",
    [
        (T([1.0, 2.1]), T([1.0, 2.0]), "wrong values"),
        (T([1.0, NAN]), T([1.0, 2.0]), "nan or inf"),
        (T([1.0, 2.0]), T([1.0, NAN]), "wrong values"),
        (T([INF]), T([-INF]), "wrong values"),
        (T([1.0]), T([INF]), "wrong values"),
        (T([INF]), T([1.0]), "nan or inf"),
        (T(1.0), T(2.0), "wrong value"),
        (T([1.0]), T(1.0), "number of dimensions"),
        (T([[1.0, 2.0]]), T([[1.0], [2.0]]), "wrong shape"),
        (T([1.0]).double(), T([1.0]), "wrong dtype"),
        (T([1]), T([True]), "wrong dtype"),
        ([1.0], T([1.0]), "expected a tensor, got list"),
        (1.0, T(1.0), "expected a tensor, got float"),
        (HANDLE, T([1.0]), "expected a tensor, got another object"),
        (True, 1.0, "expected float or int, got bool"),
        (True, 1, "expected int, got bool"),
        (1.0, 1, "expected int, got float"),
        (T(1), 1, "expected int, got a tensor"),
        (2, 1, "wrong value"),
        (NAN, 1.0, "nan or inf"),
        (10**400, 1.0, "wrong value"),
        (None, 1.0, "got None"),
        ({"a": 1.0}, {"b": 1.0}, "wrong keys"),
        ({1: 1.0}, {True: 1.0}, "wrong keys"),
        ([1.0, 2.0], [1.0], "wrong length"),
        ([1.0, 2.0], (1.0, 2.0), "expected tuple"),
        ({"a": 1.0}, {"a": 2.0}, "['a']: wrong value"),
        (HANDLE, {"a": 1.0}, "another object"),
    ],
)
def test_not_close(got, want, message):
    assert message in fails(check_close, got, want)


def test_tolerance_is_relative_to_the_largest_value():
    check_close(T([100.0, 0.009]), T([100.0, 0.0]), rtol=1e-4)
    fails(check_close, T([1.0, 0.009]), T([1.0, 0.0]), rtol=1e-4)
    fails(check_close, T([100.0, 0.009]), T([100.0, 0.0]), rtol=1e-4, atol=0)
    check_close(T([1.0]).double(), T([1.0]), dtype=False)


@pytest.mark.parametrize(
    "got, want",
    [([1, True], [1, 1]), ({1, 2}, {1, 3}), ("a", "b"), (1, True), ({(1, 0)}, {(1, False)})],
)
def test_not_equal(got, want):
    fails(check_equal, got, want)
    check_equal(want, want)


@pytest.mark.parametrize(
    "got, want, message",
    [
        ("", "a\nb", "an empty text"),
        ("a", "", "wrong text: it must be empty"),
        ("a\nb\nc", "a\nb", "wrong text: characters too many at its end: 2"),
        ("a\n", "a\nbcd", "wrong text: characters missing at its end: 3"),
        ("a\nbd", "a\nbc", "wrong text from line 2, character 2 on"),
        ("b\nb", "a\nb", "wrong text from line 1, character 1 on"),
        ("a b", "a\nb", "wrong text from line 1, character 2 on"),
    ],
)
def test_where_a_text_parts(got, want, message):
    assert fails(check_equal, got, want) == message
    assert fails(check_equal, [got], [want]) == f"[0]: {message}"


@given(st.floats(allow_nan=False), st.integers(), st.text(max_size=8))
def test_messages_never_hold_values(number, whole, text):
    text = "¶" + text  # no word of a message
    got = [T([number]), number, whole, text, {"key": text}, [text]]
    for want in (T([math.pi]), math.pi, 271828182, "secret wanted text"):
        for one in got:
            try:
                check_close(one, want)
            except Fail as failure:
                assert "3.14" not in str(failure) and "271828182" not in str(failure)
                assert "secret" not in str(failure)
                assert text not in str(failure)


def test_names_of_types_and_errors_come_from_a_list():
    assert known_error(["Passed", "ValueError", "Exception"]) == "ValueError"
    assert known_error(["Passed", "Exception"]) == "an exception"
    assert "Passed" not in fails(check_type, HANDLE, int)


def test_check_raises():
    def raises(*names):
        def function():
            raise StudentError([*names, "Exception"], "text of the student")

        return function

    check_raises("ValueError", raises("ValueError"))
    check_raises("ValueError", raises("MyError", "ValueError"))
    check_raises(("KeyError", "ValueError"), raises("KeyError"))
    assert "raises KeyError where" in fails(check_raises, "ValueError", raises("KeyError"))
    assert fails(check_raises, "ValueError", lambda: 1) == "does not raise ValueError"
    with pytest.raises(StudentError):
        check_raises("ValueError", raises("NotImplementedError"))


def test_draws_depend_on_seed_exercise_and_property():
    seeds = [derive_seed(s, *labels) for s in (b"1", b"2") for labels in ("ab", "ba", ("ab", ""))]
    assert len(set(seeds)) == len(seeds)
    one, other = Draw(seeds[0]), Draw(seeds[0])
    assert torch.equal(one.normal(3), other.normal(3))
    assert one.integers(0, 99) == other.integers(0, 99)
    assert one.shuffled("abcdef") == other.shuffled("abcdef")
    assert not torch.equal(one.normal(3), Draw(seeds[1]).normal(3))


def test_a_title_is_used_once():
    twice = PRELUDE + "@hidden('a', 't')\ndef f(s, d): pass\n" * 2
    with pytest.raises(ValueError, match="two properties"):
        load_hidden("toy", twice)


# ---------------------------------------------------------------- whole notebooks


def test_right_answers_get_full_marks(warm_pair):
    verdicts = judge_toy(warm_pair)
    assert scores(verdicts) == POINTS
    assert {v.status for v in verdicts.values()} == {"graded"}
    assert [title for title, passed, _ in verdicts["victim"].properties if passed] == [
        "scales a tensor",
        "calls nothing twice",
        "is differentiable",
    ]


def test_partial_credit_by_weight(warm_pair):
    verdict = judge_toy(warm_pair, victim="def victim(x, k):\n    return x.detach() * k")["victim"]
    assert verdict.score == 2.0  # 2 of 4 weights
    assert [passed for _, passed, _ in verdict.properties] == [True, True, False]
    assert verdict.message.startswith("is differentiable: ")


def test_a_core_property_that_fails_costs_all(warm_pair):
    verdict = judge_toy(warm_pair, victim="def victim(x, k):\n    return x + k")["victim"]
    assert verdict.score == 0 and len(verdict.properties) == 1
    assert verdict.message == "scales a tensor: wrong values. Hint: Multiply."


STUB = "def victim(x, k):\n    raise NotImplementedError"


@pytest.mark.parametrize(
    "cell, status, message",
    [
        (STUB, "graded", "not implemented"),
        ("", "graded", "`victim` is not defined"),
        ("def victim(x, k) return x", "graded", "is not defined: its cell raised SyntaxError"),
        ("1 / 0\ndef victim(x, k): return x * k", "graded", "its cell raised ZeroDivisionError"),
        ("victim = 3", "graded", "raised TypeError"),
        ("def victim(x, k):\n    return y", "graded", "raised NameError"),
        (None, "missing", "its solution cell is missing"),
    ],
)
def test_what_scores_nothing_and_why(warm_pair, cell, status, message):
    verdicts = judge_toy(warm_pair, victim=cell)
    assert scores(verdicts) == POINTS | {"victim": 0.0}
    assert verdicts["victim"].status == status and message in verdicts["victim"].message


@pytest.mark.parametrize(
    "cell, status",
    [
        ("import os; os._exit(3)", "crash"),
        ("import os\ndef victim(x, k): os.abort()", "crash"),
        ("import os; os.kill(os.getpid(), 9)", "crash"),
        ("def victim(x, k):\n    while True: pass", "timeout"),
        ("import time; time.sleep(60)", "timeout"),
        ("def victim(x, k):\n    raise MemoryError", "memory"),
        ("x = bytearray(1 << 36)", "memory"),
    ],
)
def test_a_lost_process_costs_one_exercise(warm_pair, cell, status):
    verdicts = judge_toy(warm_pair, victim=cell)
    assert verdicts["victim"].status == status, verdicts
    assert scores(verdicts) == POINTS | {"victim": 0.0}


class KilledOnce:
    """A warm process whose first fork somebody kills from outside after a while."""

    def __init__(self, warm, seconds):
        self.warm, self.seconds = warm, seconds

    def fork(self, *arguments):
        child = self.warm.fork(*arguments)
        if self.seconds is not None:
            threading.Timer(self.seconds, child.signal, [9]).start()
            self.seconds = None
        return child


@pytest.mark.parametrize("role", ["student", "judge"])
@pytest.mark.parametrize("slow", ["setup", "call"])
def test_who_kills_a_process_from_outside_changes_no_grade(warm_pair, role, slow):
    pause = "__import__('time').sleep(1)"
    setup = replace(SETUP, source=f"{SETUP.source}\n{pause if slow == 'setup' else ''}")
    cells = RIGHT | {"late": RIGHT["late"] + f"\nVAR = late\ndef late(*a):\n    {pause}\n"
                     "    return VAR(*a)"} if slow == "call" else RIGHT  # fmt: skip
    steps = [setup, *(Step("solution", name, source) for name, source in cells.items())]
    student, judge_warm = warm_pair
    if role == "student":
        student = KilledOnce(student, 0.6)
    else:
        judge_warm = KilledOnce(judge_warm, 0.6)
    verdicts = judge_toy((student, judge_warm), steps=steps)
    assert (student if role == "student" else judge_warm).seconds is None
    assert scores(verdicts) == POINTS, verdicts


def test_a_cell_whose_call_hangs_is_still_there_for_the_next(warm_pair):
    victim = "HERE = 7\ndef victim(x, k):\n    while True: pass"
    late = "def late(f, items):\n    assert HERE == 7\n    return [f(i) for i in items]"
    assert scores(judge_toy(warm_pair, victim=victim, late=late)) == POINTS | {"victim": 0.0}


def test_code_that_works_before_an_error_counts(warm_pair):
    victim = RIGHT["victim"] + "\nvictim('no tensor', None)"
    assert scores(judge_toy(warm_pair, victim=victim)) == POINTS


def test_cells_run_as_in_a_notebook(warm_pair):
    victim = """
%time 1 + 1
!echo hello
import asyncio, sys, warnings
await asyncio.sleep(0)
from IPython.display import display, HTML
display(HTML("<b>x</b>")); print("x", file=sys.stderr); warnings.warn("x")
get_ipython().run_line_magic("matplotlib", "inline")
try:
    input()
except EOFError:
    def victim(x, k):
        print("noise")
        return x * k
"""
    assert scores(judge_toy(warm_pair, victim=victim)) == POINTS


def test_the_time_of_a_notebook_is_bounded(warm_pair):
    hangs = "def {0}(*a):\n    while True: pass"
    steps = [SETUP, *(Step("solution", name, hangs.format(name)) for name in POINTS)]
    limits = replace(LIMITS, call_seconds=5, notebook_seconds=3)
    started = time.monotonic()
    verdicts = judge_notebook(
        "toy", steps, b"s", *warm_pair, limits, points=POINTS, hidden_source=HIDDEN
    )
    assert time.monotonic() - started < 12
    assert {v.status for v in verdicts.values()} == {"timeout"}


def test_a_timeout_of_a_busy_machine_is_tried_once_more_with_more_time(warm_pair, monkeypatch):
    calls = "import time\ndef victim(x, k):\n    time.sleep({0})\n    return x * k"
    limits = replace(LIMITS, call_seconds=1, notebook_seconds=30)

    def judged(victim):
        cells = RIGHT | {"victim": victim, "late": "def late(f, items):\n    while True: pass"}
        steps = [SETUP, *(Step("solution", *cell) for cell in cells.items())]
        verdicts = judge_notebook(
            "toy", steps, b"s", *warm_pair, limits, points=POINTS, hidden_source=HIDDEN
        )
        return {name: (v.score, v.status) for name, v in verdicts.items()}

    slow, hangs = calls.format(1.5), calls.format(999)
    lost = (0.0, "timeout")
    assert judged(slow) == {"early": (1.0, "graded"), "victim": lost, "late": lost}
    # What the kernel would tell if other programs took the cores for nine tenths of the time.
    began = time.monotonic()
    monkeypatch.setattr(judge._Pair, "starved", lambda _: 0.9 * (time.monotonic() - began))
    assert judged(slow) == {"early": (1.0, "graded"), "victim": (4.0, "graded"), "late": lost}
    began = time.monotonic()
    assert judged(hangs) == {"early": (1.0, "graded"), "victim": lost, "late": lost}
    assert time.monotonic() - began < 45


@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="the kernel does not say")
def test_the_kernel_tells_how_long_a_process_waited_for_a_core(warm_pair):
    burn = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass"
    alone, crowded = [], []
    for found, others in ((alone, 0), (crowded, 4 * os.cpu_count())):
        crowd = [
            subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
            for _ in range(others)
        ]
        try:
            with judge._Pair(*warm_pair, SETTINGS, LIMITS) as pair:
                before = pair.starved()
                pair.execute(Step("setup", None, burn), 60)
                found.append(pair.starved() - before)
        finally:
            for process in crowd:
                process.kill()
    assert alone[0] < crowded[0] and crowded[0] > 0.2


def test_a_regrade_sees_the_same_inputs_and_another_student_does_not(warm_pair):
    hidden = PRELUDE + (
        "@hidden('victim', 'p')\ndef _(student, draw):\n"
        "    raise Fail(str(student.victim(draw.normal(2))))"
    )
    cell = "import random\ndef victim(x):\n    return f'{x.sum():.6f} {random.random()}'"
    steps = [SETUP, Step("solution", "victim", cell)]
    seen = [
        judge_toy(warm_pair, steps=steps, hidden=hidden, points={"victim": 1}, seed=seed)
        for seed in (b"a", b"a", b"b")
    ]
    first, again, other = (v["victim"].message for v in seen)
    assert first == again != other


def test_an_exercise_without_hidden_tests_is_ungraded(warm_pair):
    steps = [Step("solution", "essay", "x = 1")]
    verdicts = judge_toy(warm_pair, steps=steps, points={"essay": 3})
    assert verdicts["essay"].status == "ungraded" and verdicts["essay"].score == 0


def judge_one(warm_pair, cell, test):
    """The message of a single property `test` (its body) on one cell; "" when it holds."""
    body = "\n".join("    " + line for line in test.strip().splitlines())
    hidden = f"{PRELUDE}\n@hidden('e', 'p')\ndef _(student, draw):\n{body}\n"
    steps = [SETUP, Step("solution", "e", cell)]
    verdict = judge_toy(warm_pair, steps=steps, hidden=hidden, points={"e": 1})["e"]
    assert verdict.status == "graded", verdict
    return "" if verdict.score == 1 else verdict.message


LAYER = """
class e(nn.Module):
    def __init__(self, base, r):
        super().__init__()
        self.base, self.r = base, r
        self.lora_B = nn.Parameter(torch.zeros(3, r))
        base.requires_grad_(False)
    def forward(self, x):
        return self.base(x) + self.lora_B.sum()
"""


def test_modules_by_handle(warm_pair):
    test = """
base = nn.Linear(2, 3)
handle = student.put(base)
layer = student.e(handle, 4)
check_type(layer, Handle)
check_equal(layer.r, 4)
check_equal(layer.lora_B, torch.zeros(3, 4))
check_equal(student.is_same(layer.base, handle), True)
check_equal(student.isinstance(layer, "torch.nn:Module"), True)
check_equal(student.isinstance(layer, "e"), True)
check_equal(student.isinstance(layer, "torch.nn:Linear"), False)
check_equal({n: g for n, (_, g) in student.parameters(layer).items()},
            {"lora_B": True, "base.weight": False, "base.bias": False})
b, x, c = draw.normal(3, 4), draw.normal(5, 2), draw.normal(5, 3)
student.load_state(layer, {"lora_B": b})
check_close(layer(x), (base(x) + b.sum()).detach())
output, grads = student.gradients(layer, [x], cotangent=c, wrt=[0])
check_close(output, (base(x) + b.sum()).detach())
check_close(grads, {0: (c @ base.weight).detach(), "lora_B": c.sum().expand(3, 4)})
weight = student.attr(layer, "lora_B")
student.copy(weight, b + 1)
check_close(layer.lora_B, b + 1)
student.set(layer, "r", 9)
check_equal(layer.r, 9)
items = student.put([1, nn.ReLU()])
check_equal((len(items), items[0], type(items[1]) is Handle), (2, 1, True))
check_equal(len(list(items)), 2)
"""
    assert judge_one(warm_pair, LAYER, test) == ""


def test_callbacks_both_ways(warm_pair):
    cell = """
def e(f, g):
    try:
        f(-1)
    except ValueError as error:
        return [f(1), g(torch.ones(2)), str(error)]
"""
    test = """
seen = []
def f(n):
    if n < 0:
        raise ValueError("negative")
    seen.append(n)
    handle = student.put([n])          # asks while being asked
    return handle[0] + 1
count = []
module = callback_module(lambda x: (count.append(1), x * 3)[1])
check_close(student.e(f, module), [2, torch.full((2,), 3.0), "negative"])
check_equal((seen, count), ([1], [1]))
"""
    assert judge_one(warm_pair, cell, test) == ""


def test_a_module_that_runs_in_the_judge_can_be_trained(warm_pair):
    cell = """
def e(model, optimizer, batches):
    for x in batches:
        model(x=x).logits.pow(2).sum().backward()
    optimizer.step()
"""
    test = """
class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 1)
        self.calls = 0
    def forward(self, x):
        self.calls += 1
        return self.inner(x)
model = Counted()
batches = [draw.normal(2, 3) for _ in range(3)]
handle = student.put(callback_module(model, output="logits"))
weights = [student.attr(student.attr(handle, "inner"), n) for n in ("weight", "bias")]
optimizer = student.keep(student.put(torch.optim.SGD), weights, lr=0.1)
student.e(handle, optimizer, batches)
check_equal(model.calls, 3)
loss = sum(model.inner(x).pow(2).sum() for x in batches)
grads = torch.autograd.grad(loss, list(model.parameters()))
check_close(student.parameters(handle)["inner.weight"][0],
            (model.inner.weight - 0.1 * grads[0]).detach())
"""
    assert judge_one(warm_pair, cell, test) == ""


def test_observe_and_inspect(warm_pair):
    cell = "def e(m, x):\n    x.add_(1)\n    return [m(x), m(x)]"
    test = """
shapes = []
module = student.put(nn.Linear(2, 2))
student.observe(module, lambda x: shapes.append(list(x.shape)))
x = draw.normal(4, 2)
result, after = student.call_and_inspect("e", module, x)
check_equal(shapes, [[4, 2], [4, 2]])
check_close(after[1], x + 1)
kept = student.keep("e", module, x)
check_type(student.value(kept), list)
"""
    assert judge_one(warm_pair, cell, test) == ""


@pytest.mark.parametrize(
    "body, message",
    [
        ("student.e(1)[5]", "the answer has an unexpected form"),
        ("class Own(nn.Module): pass\nstudent.e(Own())", "the answer has an unexpected form"),
        ("raise Fail('too\\nmany\\x1b lines')", "p: too many lines."),
    ],
)
def test_stumbling_tests(warm_pair, body, message):
    assert message in judge_one(warm_pair, "def e(x):\n    return [x]", body)


# ---------------------------------------------------------------- a judge that was taken over


class FakeChild:
    pid = 0  # no process has it

    def wait(self, timeout=None):
        return None

    def kill(self, wait=True):
        pass


class FakeWarm:
    """A judge that says what it likes: the worker believes only what is well-formed."""

    def __init__(self, *replies):
        self.replies = replies

    def fork(self, target, payload, fds, limits):
        if target == "autograder.judge:run":
            line = socket.socket(fileno=os.dup(fds[0]))
            threading.Thread(target=self.answer, args=[line], daemon=True).start()
        return FakeChild()

    def answer(self, line):
        with line, suppress(OSError):
            for reply in self.replies:
                line.recv(1 << 20)
                line.sendall(reply)


@pytest.mark.parametrize(
    "reply",
    [
        ["graded", 1.5, ""],
        ["graded", -1.0, ""],
        ["graded", NAN, ""],
        ["graded", True, ""],
        ["graded", 1.0],
        ["graded", 1.0, {}],
        ["property", "t", 1, ""],
        ["pass"],
        {"graded": 1.0},
        b"\xff\xfe\n",
        b"__import__('os')\n",
        b"x" * 200_000,
        b"",
    ],
    ids=lambda reply: str(reply)[:30],
)
def test_the_worker_checks_what_the_judge_says(reply):
    line = reply if type(reply) is bytes else json.dumps(reply).encode() + b"\n"
    warm = FakeWarm(b'["done"]\n', line)
    steps = [Step("solution", "early", "")]
    verdicts = judge_notebook(
        "toy", steps, b"s", warm, warm, LIMITS, points={"early": 2.0}, hidden_source=HIDDEN
    )
    assert verdicts["early"].score == 0 and verdicts["early"].status == "crash"


def test_a_well_formed_judge_is_believed():
    warm = FakeWarm(b'["done"]\n', b'["graded", 0.333333, "two\\nlines"]\n')
    steps = [Step("solution", "early", "")]
    verdict = judge_notebook("toy", steps, b"s", warm, warm, LIMITS, points={"early": 2.0})["early"]
    assert (verdict.score, verdict.message) == (0.67, "two lines")


def test_statuses_are_those_of_the_csv():
    expected = {"graded", "ungraded", "timeout", "memory", "crash", "missing"}
    assert set(judge.STATUSES) == expected
