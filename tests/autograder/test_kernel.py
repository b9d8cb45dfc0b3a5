"""The display run: stock outputs, and no notebook that stops or deceives the worker."""

import asyncio
import dataclasses
import gc
import os
import re
import threading
import time

import nbformat
import psutil
import pytest
from forks import REPOSITORY
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.utils import determine_grade

from autograder.kernel import Problem, display_run
from autograder.sandbox import Limits, MiB, SandboxError, resolve_mode
from autograder.warm import start_warm

LIGHT = ["matplotlib.pyplot", "ipykernel.debugger", "ipywidgets", "autograder.kernel"]


@pytest.fixture(scope="module")
def warm():
    try:
        mode = resolve_mode("auto")
    except SandboxError:
        mode = "none"
    with start_warm("student", mode, preload=LIGHT) as process:
        yield process


def notebook(*sources, **metadata):
    """A notebook of code cells; a source may be (source, metadata of the cell)."""
    cells = []
    for source in sources:
        source, facts = source if isinstance(source, tuple) else (source, {})
        cells.append(new_code_cell(source, metadata=facts))
    return new_notebook(cells=cells, metadata=metadata)


def limits(**changes):
    return dataclasses.replace(Limits(), **changes)


def test_cell(source, points=1):
    facts = {"grade": True, "solution": False, "locked": True, "points": points}
    return source, {"nbgrader": {**facts, "grade_id": f"t{abs(hash(source))}", "schema_version": 3}}


test_cell.__test__ = False


def text(cell):
    """All a cell shows, as one string."""
    parts = []
    for output in cell.outputs:
        parts += [output.get("text", ""), output.get("evalue", "")]
        parts.append(output.get("data", {}).get("text/plain", ""))
    return "".join(parts)


def names(problems):
    return [(problem.index, problem.status) for problem in problems]


# -------------------------------------------------------------------------------------- outputs

STOCK = [
    "x = 41\nx + 1",
    "print('out'); import sys; print('err', file=sys.stderr)",
    "1 / 0",
    "from IPython.display import display, HTML, clear_output\ndisplay(HTML('<b>bold</b>')); 'last'",
    "for i in range(3):\n    print(i)\n    clear_output()",
    "handle = display('first', display_id=True); handle.update('second')",
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
]


def test_outputs_are_those_of_stock_nbclient(warm, monkeypatch):
    """Types, texts and numbers; addresses, paths, process ids and timing aside."""
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # with it ipykernel does not capture processes
    ours, problems = display_run(notebook(*STOCK), warm)
    stock = notebook(*STOCK)
    NotebookClient(stock, allow_errors=True, kernel_name="python3", record_timing=False).execute()

    def shape(cell):
        rows, streams = [], {}
        for output in cell.outputs:
            output = dict(output)
            if output["output_type"] == "stream":  # how it is split and mixed is a matter of time
                streams[output["name"]] = streams.get(output["name"], "") + output["text"]
                continue
            for key in ("data", "metadata"):
                output[key] = sorted(output.get(key, {}))
            if output["output_type"] == "error":
                output["traceback"] = len(output["traceback"])
            rows.append(output)
        if "stderr" in streams:
            streams["stderr"] = streams["stderr"].splitlines()[-1]  # the first names a file
        return cell.execution_count, rows, streams

    assert problems == []
    for mine, theirs in zip(ours.cells, stock.cells, strict=True):
        assert shape(mine) == shape(theirs), mine.source
    assert [text(c) for c in ours.cells[:6]] == [text(c) for c in stock.cells[:6]]
    assert ours.metadata.language_info == stock.metadata.language_info
    nbformat.validate(ours)


def test_no_widget_state_is_saved(warm):
    source = "import ipywidgets as w\nout = w.Output()\nwith out: print('inside')\nout"
    ran, problems = display_run(notebook(source, "1"), warm)
    assert problems == [] and "widgets" not in ran.metadata and text(ran.cells[1]) == "1"


def test_skipped_markdown_and_empty_cells(warm):
    nb = notebook("a = 1", "a = 2", "", "a", ("a = 3", {"tags": ["skip-execution"]}), "a")
    nb.cells.insert(0, new_markdown_cell("text"))
    nb.cells[2].outputs = [nbformat.v4.new_output("stream", text="left over")]
    ran, _ = display_run(nb, warm, skip=frozenset([nb.cells[2].id]))
    # A tag is the student's to set: only `skip` counts.
    assert [text(c) for c in ran.cells[1:]] == ["", "", "", "1", "", "3"]
    assert ran.cells[2].execution_count is None


def test_works_inside_a_running_event_loop(warm):
    async def inside():
        return display_run(notebook("6 * 7"), warm)

    ran, _ = asyncio.run(inside())
    assert text(ran.cells[0]) == "42"


def test_is_the_sandboxed_kernel(warm):
    if warm.mode != "bwrap":
        pytest.skip("no sandbox here")
    source = "import os; os.path.exists(%r), os.listdir(%r)"
    source %= (str(REPOSITORY / "tests"), str(REPOSITORY / "autograder"))
    assert text(display_run(notebook(source), warm)[0].cells[0]) == "(False, [])"


# ----------------------------------------------------------------------------- time and crashes


def test_endless_cell_is_interrupted_and_the_rest_runs(warm):
    cells = notebook("a = 1", "while True:\n    pass", "a")
    ran, problems = display_run(cells, warm, limits(cell_seconds=1))
    assert names(problems) == [(1, "timeout")]
    assert str(problems[0]) == "cell 2: this cell ran longer than 1 s and was stopped"
    error = ran.cells[1].outputs[-1]
    traceback = re.sub(r"\x1b\[[\d;]*m", "", "".join(error.traceback))
    assert error.ename == "TimeoutError" and "while True" in traceback
    assert text(ran.cells[2]) == "1"


def test_cell_that_cannot_be_interrupted_costs_only_its_kernel(warm):
    deaf = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
    began = time.monotonic()
    ran, problems = display_run(notebook("a = 1", deaf, "a"), warm, limits(cell_seconds=1))
    assert names(problems) == [(1, "timeout")] and text(ran.cells[2]) == "1"
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("killer", ["import os; os._exit(1)", "import os; os.kill(os.getpid(), 9)"])
def test_dead_kernel_is_replaced_and_earlier_cells_replayed(warm, killer):
    cells = notebook("a = [1]", "print('x'); a.append(2)", killer, "print(a)", killer, "a")
    ran, problems = display_run(cells, warm)
    assert names(problems) == [(2, "crash"), (4, "crash")]
    assert text(ran.cells[2]) == "the kernel died in this cell"
    assert text(ran.cells[1]) == "x\n"  # shown once
    assert text(ran.cells[3]) == "[1, 2]\n" and text(ran.cells[5]) == "[1, 2]"
    assert [c.execution_count for c in ran.cells] == [1, 2, 3, 4, 5, 6]


def test_who_kills_the_kernel_from_outside_changes_no_output(warm):
    class KilledOnce:
        limits, killed = warm.limits, False

        def fork(self, *arguments):
            child = warm.fork(*arguments)
            if not self.killed:
                threading.Timer(1, child.signal, [9]).start()
                self.killed = True
            return child

    cells = notebook("a = [1]", "print('x'); import time; time.sleep(2)\na.append(2)", "print(a)")
    ran, problems = display_run(cells, KilledOnce())
    assert not problems and [text(c) for c in ran.cells] == ["", "x\n", "[1, 2]\n"]
    assert [c.execution_count for c in ran.cells] == [1, 2, 3]


def test_only_setup_and_solution_cells_are_replayed_where_they_are_marked(warm):
    solution = {"nbgrader": {"solution": True, "grade": False, "grade_id": "s"}}
    cells = notebook(
        ("a = ['setup']", {"tags": ["setup"]}),
        ("a.append('solution')", solution),
        "a.append('demonstration')",
        "import os; os._exit(1)",
        "a",
    )
    ran, _ = display_run(cells, warm)
    assert text(ran.cells[4]) == "['setup', 'solution']"


def test_too_many_deaths_end_the_run_with_errors(warm):
    ran, problems = display_run(notebook(*["import os; os._exit(1)"] * 8), warm)
    assert len(problems) == 8 and all(text(cell) for cell in ran.cells)
    assert "too often" in text(ran.cells[7])


def test_memory_is_named_as_the_cause(warm):
    hungry = "import os, time\nfor _ in range(4):\n    if os.fork() == 0:\n"
    hungry += "        x = bytearray(b'x') * (150 * 2**20); time.sleep(60)\ntime.sleep(60)"
    ran, problems = display_run(
        notebook("a = 1", hungry, "a"), warm, limits(memory_bytes=400 * MiB, cell_seconds=30)
    )
    assert names(problems) == [(1, "memory")] and text(ran.cells[2]) == "1"
    assert ran.cells[1].outputs[-1].ename == "MemoryError"


def test_cells_after_the_time_of_the_notebook_fail(warm):
    cells = notebook("import time; time.sleep(60)", test_cell("assert True"))
    ran, problems = display_run(cells, warm, limits(notebook_seconds=1.5))
    assert names(problems) == [(0, "timeout"), (1, "timeout")]
    assert determine_grade(ran.cells[1]) == (0, 1)  # not run is not passed


# ------------------------------------------------------------------------------------- too much


@pytest.mark.parametrize(
    "source",
    ["print('x' * 100_000_000)", "import os\nfor _ in range(100): os.write(1, b'x' * 10**6)"],
)
def test_huge_text_is_cut(warm, source):
    ran, problems = display_run(notebook(source, "1"), warm, limits(output_bytes=MiB))
    assert (0, "output") in names(problems) and text(ran.cells[1]) == "1"
    assert len(text(ran.cells[0])) < MiB + 1000 and "output cut" in text(ran.cells[0])


def test_huge_display_is_dropped(warm):
    source = "from IPython.display import display\n"
    source += "display({'text/html': 'x' * 50_000_000}, raw=True)"
    ran, problems = display_run(notebook(source, "1"), warm, limits(output_bytes=MiB))
    assert (0, "output") in names(problems) and text(ran.cells[1]) == "1"
    assert len(nbformat.writes(ran)) < 10_000


def test_flood_of_messages_is_stopped(warm):
    source = "from IPython.display import display\nwhile True: display('x' * 50_000)"
    began = time.monotonic()
    ran, problems = display_run(notebook("a = 1", source, "a"), warm, limits(output_bytes=MiB))
    assert (1, "output") in names(problems) and text(ran.cells[2]) == "1"
    assert len(nbformat.writes(ran)) < 2 * MiB and time.monotonic() - began < 60


def test_flood_of_widget_messages_is_stopped(warm):
    source = "import ipywidgets\ns = ipywidgets.Text()\nwhile True: s.value = str(id([])) * 10000"
    source = source.replace("str(id([]))", "str(__import__('time').time())")
    _, problems = display_run(notebook(source), warm, limits(output_bytes=MiB // 4))
    assert names(problems) == [(0, "output")]


def test_cut_output_does_not_hide_a_failed_test(warm):
    """Without its error, a test cell would count as passed."""
    fill = "print('x' * 10**7)"
    hide = "assert False, 'x' * 10**6"
    lengthy = "for _ in range(200): print('y' * 1000)\nassert False"
    partial = "print('z' * 10**6)\n0.5"
    cells = notebook(fill, *map(test_cell, (hide, "assert 0", lengthy)), test_cell("0.5", 2))
    ran, _ = display_run(cells, warm, limits(output_bytes=MiB))
    assert [determine_grade(cell)[0] for cell in ran.cells[1:]] == [0, 0, 0, 0.5]
    ran, _ = display_run(notebook(test_cell(partial)), warm, limits(output_bytes=MiB // 4))
    assert determine_grade(ran.cells[0])[0] != 1


# ------------------------------------------------------------------------------------- hostile

GARBAGE = """
from ipykernel.kernelapp import IPKernelApp
app = IPKernelApp.instance()
session, thread, parent = app.session, app.iopub_thread, app.kernel.get_parent()
deep = []
for _ in range(300):
    deep = [deep]
contents = [
    ("stream", {}), ("stream", {"name": "x", "text": "forged"}), ("stream", {"name": "stdout"}),
    ("stream", {"name": "stdout", "text": 5}), ("error", {}), ("error", {"traceback": "no list"}),
    ("execute_result", {"data": 3}), ("display_data", {"data": {"text/html": ["a"]}}),
    ("display_data", {"data": {"application/json": deep}, "metadata": {}}),
    ("status", {}), ("comm_open", {}), ("comm_msg", {"comm_id": [], "data": 1}), ("nonsense", {}),
    ("clear_output", {"wait": deep}), ("update_display_data", {"transient": 7, "data": {}}),
]
for kind, content in contents:
    message = session.msg(kind, content, parent=parent)
    session.send(app.iopub_socket, message, ident=b"x")
app.iopub_socket.send_multipart([b"x", b"<IDS|MSG>", b"not signed", b"{}", b"{}", b"{}", b"{}"])
app.iopub_socket.send_multipart([b"x", b"garbage"])
print("survived")
"""


def test_malformed_messages_are_dropped(warm):
    ran, problems = display_run(notebook("a = 1", GARBAGE, "a"), warm)
    assert problems == [] and text(ran.cells[2]) == "1"
    assert text(ran.cells[1]) == "survived\n"
    nbformat.validate(ran)
    nbformat.writes(ran)


def test_sockets_cannot_be_redirected(warm):
    """Closing the kernel's sockets leaves the student with nothing but a dead kernel."""
    source = "import os\nfor fd in range(3, 100):\n    try: os.close(fd)\n    except OSError: pass"
    ran, problems = display_run(notebook("a = 1", source, "a"), warm, limits(cell_seconds=2))
    assert len(problems) == 1 and problems[0].index == 1 and text(ran.cells[2]) == "1"


def test_an_error_too_large_to_send_is_still_an_error(warm):
    cells = notebook(test_cell("assert False, 'x' * 10**7"), "1")
    ran, _ = display_run(cells, warm, limits(output_bytes=MiB, cell_seconds=2))
    assert determine_grade(ran.cells[0]) == (0, 1) and text(ran.cells[1]) == "1"


def test_nothing_is_left_behind(warm, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    open_files = []
    for _ in range(4):
        display_run(notebook("import os", "os._exit(1)", "1"), warm)
        gc.collect()
        open_files.append(len(psutil.Process().open_files()) + psutil.Process().num_fds())
    assert os.listdir(tmp_path) == []
    assert open_files[3] <= open_files[0]


def test_problem_is_one_line():
    assert str(Problem(3, "id", "crash", "the kernel died")) == "cell 4: the kernel died"


@pytest.mark.slow
def test_thirty_cells_take_less_than_half_a_second(warm):
    """On a quiet machine; the best of several, as others may be at work."""
    best = 9.0
    for _ in range(10):
        began = time.perf_counter()
        display_run(notebook(*(f"x = {i}" for i in range(30))), warm)
        best = min(best, time.perf_counter() - began)
    assert best < 0.5
