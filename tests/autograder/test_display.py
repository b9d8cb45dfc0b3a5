"""What cells show beside the judged run: as in a kernel, before any hidden input, data only."""

import json
import re
import socket
import struct

import pytest
from nbformat.v4 import new_code_cell, new_notebook
from toy import LIMITS, RIGHT, SETUP, judge_toy

from autograder.display import Show
from autograder.judge import Step, judge_notebook
from autograder.kernel import display_run

CELLS = [
    "x = 41\nx + 1",
    "print('out'); import sys; print('err', file=sys.stderr)",
    "1 / 0",
    "from IPython.display import display, HTML\ndisplay(HTML('<b>bold</b>')); 'last'",
    "import matplotlib.pyplot as plt\nplt.plot([1, 2]);",
    "print('shown before the figure'); plt.plot([2, 1]); plt.show()",
    "%%capture\nprint('hidden')",
    "import os; os.system('echo from a process');",
    "raise SystemExit",
    "def f(:",
    "_ + 1 if isinstance(_, int) else type(_).__name__",
    "import warnings; warnings.warn('careful')",
    "input()",
    "In[1], Out[1]",
    "import ipywidgets; ipywidgets.IntSlider()",
    "import asyncio; await asyncio.sleep(0); 'awaited'",
    "!echo from a shell",
    "help(len)",
]


def shown(warm, *sources):
    """The outputs of cells, or None if the attempt was given up."""
    show = Show([(str(i), source) for i, source in enumerate(sources)])
    ours, theirs = socket.socketpair()
    judge, student = socket.socketpair()
    with judge, student, theirs:
        fds = [student.fileno(), theirs.fileno()]
        child = warm.fork("autograder.student:serve", show.order(LIMITS), fds, LIMITS)
    with child:
        show.take(ours, LIMITS)
    return show.outputs and [show.outputs[str(i)] for i in range(len(sources))]


def text(outputs):
    return "".join(
        o.get("text", "") + o.get("evalue", "") + o.get("data", {}).get("text/plain", "")
        for o in outputs
    )


def shape(count, outputs):
    """Types, texts and numbers; addresses, paths and how streams are split aside."""
    rows, streams = [], {}
    for output in map(dict, outputs):
        if output["output_type"] == "stream":
            streams[output["name"]] = streams.get(output["name"], "") + output["text"]
            continue
        for key in ("data", "metadata"):
            output[key] = sorted(output.get(key, {}))
        if output["output_type"] == "error":
            output["traceback"] = len(output["traceback"])
            output["evalue"] = re.sub(r"\(.*, line", "(line", output["evalue"])  # a file's name
        rows.append(output)
    if "stderr" in streams:
        streams["stderr"] = streams["stderr"].splitlines()[-1]
    return count, rows, {k: v.replace("\r\n", "\n") for k, v in streams.items()}


def test_outputs_are_those_of_the_kernel(warm_pair):
    kernel, _ = display_run(new_notebook(cells=[new_code_cell(s) for s in CELLS]), warm_pair[0])
    found = shown(warm_pair[0], *CELLS)
    for (count, outputs), cell in zip(found, kernel.cells, strict=True):
        wanted = shape(cell.execution_count, cell.outputs)
        assert shape(count, outputs) == wanted, cell.source


@pytest.mark.parametrize(
    "cell",
    [
        "import os; os._exit(0)",
        "import os; os.kill(os.getppid(), 9)",
        "print('x' * 10_000_000)",
        "from IPython.display import clear_output; clear_output()",
        "handle = display('first', display_id=True); handle.update('second')",
        "import os; os.system('head -c 10000000 /dev/zero');",
    ],
)
def test_what_is_not_plain_is_left_to_the_kernel(warm_pair, cell):
    assert shown(warm_pair[0], "1", cell, "2") is None


FRAME = struct.Struct("<Q")
DEEP = b"[" * 90 + b"]" * 90


@pytest.mark.parametrize(
    "frame",
    [
        b"null",
        b"[1]",
        b"[0, []]",
        b'[1, [["stream", {"name": "stdin", "text": ""}]]]',
        b'[1, [["stream", {"name": "stdout", "text": 1}]]]',
        b'[1, [["display_data", {"data": {"text/html": 1}, "metadata": {}}]]]',
        b'[1, [["comm_open", {}]]]',
        b'[1, [["error", {"ename": "", "evalue": "", "traceback": [1]}]]]',
        b'[1, [["display_data", {"metadata": {}, "data": {"json": ' + DEEP + b"}}]]]",
        b"[" * 100_000,
        b"\xff",
    ],
)  # fmt: skip
def test_malformed_frames_are_given_up(frame):
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(FRAME.pack(len(frame)) + frame)
    show = Show([("a", "")])
    assert not show.take(ours, LIMITS) and show.outputs is None


def test_an_announced_size_takes_no_memory():
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(FRAME.pack(1 << 60))
    assert not Show([("a", "")]).take(ours, LIMITS)


SPY = """
LOG = []
def early(n):
    LOG.append(n)
    open('/tmp/log', 'a').write(str(n))
    return n + 1
"""


def test_no_hidden_input_is_ever_shown(warm_pair):
    """The cells after the tests of an exercise could print what the tests called it with."""
    peek = "import os\nprint(LOG, os.path.exists('/tmp/log'))"
    show = Show([("setup", SETUP.source), ("early", SPY), ("peek", peek)])
    steps = [SETUP, Step("solution", "early", SPY), Step("solution", "late", RIGHT["late"])]
    verdicts = judge_toy_with(warm_pair, steps, show)
    assert verdicts["early"].score == 1.0
    assert text(show.outputs["peek"][1]) == "[] False\n"


def test_what_the_shown_cells_did_does_not_reach_the_judged_run(warm_pair):
    once = (
        "import os\nos.mkdir('made')\nopen(os.path.expanduser('~/made'), 'x')\n"
        "open('/tmp/made', 'x')\ndef early(n):\n    return n + 1"
    )
    show = Show([("early", once)])
    verdicts = judge_toy_with(warm_pair, [SETUP, Step("solution", "early", once)], show)
    assert (verdicts["early"].score, show.outputs["early"]) == (1.0, (1, []))


@pytest.mark.parametrize("cell", ["import os; os.kill(os.getppid(), 9)", "import os; os._exit(1)"])
def test_a_lost_attempt_costs_no_points(warm_pair, cell):
    show = Show([("a", cell)])
    steps = [SETUP, *(Step("solution", name, source) for name, source in RIGHT.items())]
    verdicts = judge_toy_with(warm_pair, steps, show)
    alone = judge_toy(warm_pair)
    assert show.outputs is None
    assert {n: v.score for n, v in verdicts.items()} == {n: v.score for n, v in alone.items()}


def judge_toy_with(warm_pair, steps, show):
    from toy import HIDDEN, POINTS

    return judge_notebook(
        "toy", steps, b"toy", *warm_pair, LIMITS, points=POINTS, hidden_source=HIDDEN, show=show
    )


def test_the_order_is_data():
    order = json.loads(Show([("a", "1"), ("b", "2")]).order(LIMITS))
    assert order == {"cells": ["1", "2"], "output_bytes": LIMITS.output_bytes}
