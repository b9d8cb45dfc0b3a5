"""The whole way of a class of tiny notebooks, graded once for all the tests of this file."""

import concurrent.futures
import csv
import json
import os
import signal
import subprocess
import sys
import time

import jobs
import psutil
import pytest
import tiny
from nbformat.v4 import new_output

from autograder import cli, collect, grade, record, workers
from autograder.sandbox import Limits

LIMITS = Limits(cell_seconds=5, call_seconds=5, notebook_seconds=60)
NOISY = """# exercise: double
import logging, sys, warnings
warnings.warn("at definition")
def double(x):
    warnings.warn("deprecated")
    logging.getLogger().error("a log line")
    print("progress", file=sys.stderr)
    return 2 * x
"""
FORGED = """# exercise: double
import builtins, torch
torch.equal = torch.allclose = lambda *args, **kwargs: True
builtins.hidden = lambda *args: 2
try:
    get_ipython().input_transformers_cleanup.append(lambda lines: [])
except NameError:
    pass
class Equal:
    def __eq__(self, other): return True
    def __call__(self, *args): return self
double = Equal()
2
"""


def forged_outputs():
    notebook = json.loads(tiny.answer(double=FORGED, shift="# exercise: shift\nshift = None"))
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade") and cell["cell_type"] == "code":
            cell["source"], cell["metadata"]["tags"] = "4", ["skip-execution"]
            cell["metadata"]["nbgrader"]["points"] = 4000
            cell["outputs"] = [new_output("execute_result", {"text/plain": "4"})]
    return json.dumps(notebook).encode()


def no_metadata():
    notebook = json.loads(tiny.answer())
    for cell in notebook["cells"]:
        cell["metadata"] = {"id": "x", "executionInfo": {}}
    return json.dumps(notebook).encode()


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """(course directory, lines told) of a class graded by one worker."""
    root = tmp_path_factory.mktemp("class")
    submitted = tiny.submit(
        root / "submitted",
        ada=tiny.answer(),
        blank=json.dumps(tiny.blank()).encode(),
        broken=b'{"cells": [',
        colab=no_metadata(),
        endless=tiny.answer(double="# exercise: double\nwhile True: pass"),
        exits=tiny.answer(double="# exercise: double\nimport os\nos._exit(0)"),
        forger=forged_outputs(),
        half=tiny.answer(shift="# exercise: shift\ndef shift(x, by):\n    return x + abs(by)"),
        noisy=tiny.answer(double=NOISY),
        **{"=1+1": tiny.answer(), "two\nlines": tiny.answer()},
    )
    right, wrong = tiny.inline_source(), tiny.inline_source()
    right.cells[1].source = tiny.SOLVED["double"]
    wrong.cells[1].source = "# exercise: double\ndef double(x):\n    return 3 * x"
    right, wrong = (json.dumps(n).encode() for n in (right, wrong))
    tiny.submit(submitted, tiny.INLINE, ada=right, half=wrong)
    (submitted / "link" / tiny.ID).mkdir(parents=True)
    target = submitted / "ada" / tiny.ID / f"{tiny.ID}.ipynb"
    (submitted / "link" / tiny.ID / f"{tiny.ID}.ipynb").symlink_to(target)
    (submitted / "nothing").mkdir()
    (submitted / "file.txt").write_text("not a folder")
    (submitted / "ada" / tiny.ID / "timestamp.txt").write_text("2026-11-20 10:00:00 UTC")
    lines = run(root, workers=1)
    return root, lines


def run(root, **options):
    lines = []
    sources = {tiny.ID: tiny.source(), tiny.INLINE: tiny.inline_source()}
    hidden = {tiny.ID: tiny.HIDDEN, tiny.INLINE: None}
    options = {"sources": sources, "hidden": hidden, "limits": LIMITS, **options}
    grade.grade(root / "submitted", root / "out", say=lines.append, **options)
    return lines


def table(root, assignment=tiny.ID):
    """(student, exercise) -> (score, status) in one assignment."""
    with (root / "out" / "grades.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["assignment"] == assignment]
    return {(r["student"], r["exercise"]): (r["score"], r["status"]) for r in rows}


@pytest.mark.parametrize(
    ("student", "double", "shift"),
    [
        ("ada", ("2", "graded"), ("4", "graded")),
        ("noisy", ("2", "graded"), ("4", "graded")),
        ("colab", ("2", "graded"), ("4", "graded")),
        ("half", ("2", "graded"), ("3", "graded")),
        ("blank", ("0", "graded"), ("0", "graded")),
        ("endless", ("0", "timeout"), ("4", "graded")),
        ("exits", ("0", "crash"), ("4", "graded")),
        ("forger", ("0", "graded"), ("0", "graded")),
        ("broken", ("0", "unreadable"), ("0", "unreadable")),
        ("link", ("0", "unreadable"), ("0", "unreadable")),
        ("nothing", ("0", "missing"), ("0", "missing")),
        ("'=1+1", ("2", "graded"), ("4", "graded")),
        ("two\\nlines", ("2", "graded"), ("4", "graded")),
    ],
)
def test_scores_and_statuses(graded, student, double, shift):
    found = table(graded[0])
    assert (found[student, "double"], found[student, "shift"]) == (double, shift)


def test_every_submission_has_a_row_for_every_exercise(graded):
    found = table(graded[0])
    assert len(found) == 13 * 3
    assert found["ada", "essay"] == ("", "ungraded")
    assert found["blank", "essay"] == ("0", "graded")


def test_each_problem_is_one_line(graded):
    _, lines = graded
    assert "file.txt: a file, not a student's folder: ignored" in lines
    assert sum(line.startswith(f"broken {tiny.ID}: ") for line in lines) == 1
    assert any(line.startswith(f"link {tiny.ID}: unreadable: ") for line in lines)
    assert any(line.startswith(f"endless {tiny.ID}: double: timeout: ") for line in lines)


def test_the_gradebook_has_the_same_numbers(graded):
    root, _ = graded
    with record.open_gradebook(root / "out") as gradebook:
        submissions = gradebook.assignment_submissions(tiny.ID)
        found = {
            (s.student.id, g.name.removeprefix("test_")): g.score
            for s in submissions
            for n in s.notebooks
            for g in n.grades
        }
        ada = gradebook.find_submission(tiny.ID, "ada")
        assert ada.timestamp.isoformat() == "2026-11-20T10:00:00"
    wanted = {(s.lstrip("'"), e): float(score or 0) for (s, e), (score, _) in table(root).items()}
    assert found == wanted


def test_feedback_leaks_nothing(graded):
    root, _ = graded
    pages = list((root / "out" / "feedback").glob("*/*/*.html"))
    assert len(pages) == 13 * 2
    for page in pages:
        html = page.read_text()
        for secret in (
            tiny.SECRET,
            "BEGIN HIDDEN",
            "hidden(",
            "BEGIN SOLUTION",
            "draw.",
            "It rose",
        ):
            assert secret not in html, (page, secret)
    blank = (root / "out" / "feedback" / "blank" / tiny.ID / f"{tiny.ID}.html").read_text()
    assert "return x + by" not in blank
    half = (root / "out" / "feedback" / "half" / tiny.ID / f"{tiny.ID}.html").read_text()
    assert "shifts down too" in half and "Is abs in the way?" in half and "looks right" in half


@pytest.mark.slow
def test_regrades_change_nothing(graded):
    root, _ = graded
    before = (root / "out" / "grades.csv").read_text()
    for workers_ in (2, 1):
        run(root, workers=workers_)
        assert (root / "out" / "grades.csv").read_text() == before


def test_the_course_directory_is_nbgraders(graded):
    root, _ = graded
    out = root / "out"
    assert (out / "source" / tiny.ID / f"{tiny.ID}.ipynb").is_file()
    assert (out / "autograded" / "ada" / tiny.ID / f"{tiny.ID}.ipynb").is_file()
    assert not (out / "autograded" / "broken").exists()
    assert (out / ".course_seed").stat().st_mode & 0o777 == 0o600
    config = (out / "nbgrader_config.py").read_text()
    assert repr(str((root / "submitted").resolve())) in config


def test_a_notebook_with_its_tests_in_its_cells(graded):
    root, _ = graded
    found = table(root, tiny.INLINE)
    assert (found["ada", "double"], found["half", "double"]) == (("2", "graded"), ("0", "graded"))
    page = root / "out" / "feedback" / "half" / tiny.INLINE / f"{tiny.INLINE}.html"
    assert "31337" not in page.read_text() and "AssertionError" in page.read_text()


# ------------------------------------------------------------------------ finding submissions


def test_only_assignments_that_somebody_has_are_in_the_run(tmp_path):
    for path in ("ada/one", "ada/other", "ben/one", "cy"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "ada/one/one.ipynb").write_text("{}")
    found, remarks = collect.find_submissions(tmp_path, ["one", "two"])
    assert [(s.student, s.assignment, s.problem and s.problem[0]) for s in found] == [
        ("ada", "one", None),
        ("ben", "one", "missing"),
        ("cy", "one", "missing"),
    ]
    assert remarks == ["ada: 'other' is no assignment: ignored"]
    found, _ = collect.find_submissions(tmp_path, ["one", "two"], "two")
    assert {s.problem[0] for s in found} == {"missing"} and len(found) == 3


def test_a_renamed_notebook_is_taken_when_it_is_the_only_one(tmp_path):
    (tmp_path / "ada/one").mkdir(parents=True)
    (tmp_path / "ada/one/Copy of one (2).ipynb").write_text("{}")
    (found,), _ = collect.find_submissions(tmp_path, ["one"])
    assert found.path.name == "Copy of one (2).ipynb" and "Copy of one" in found.notes[0]
    (tmp_path / "ada/one/more.ipynb").write_text("{}")
    (found,), _ = collect.find_submissions(tmp_path, ["one"])
    assert found.problem == ("missing", "2 notebooks, none of them called one.ipynb")


def test_links_and_files_in_place_of_folders(tmp_path):
    (tmp_path / "ada/one").mkdir(parents=True)
    (tmp_path / "ben").symlink_to(tmp_path / "ada")
    (tmp_path / "cy").mkdir()
    (tmp_path / "cy/one").symlink_to(tmp_path / "ada/one")
    (tmp_path / "dee").mkdir()
    (tmp_path / "dee/one").write_text("a file")
    found, _ = collect.find_submissions(tmp_path, ["one"])
    assert [s.problem[0] for s in found] == ["missing", "unreadable", "unreadable", "unreadable"]


def test_names_that_print_alike_stay_apart(tmp_path):
    for name in ("a\nb", "a\\nb"):
        (tmp_path / name / "one").mkdir(parents=True)
    found, _ = collect.find_submissions(tmp_path, ["one"])
    assert {s.student for s in found} == {"a\\nb", "a\\nb~"}
    assert len({s.folder for s in found}) == 2


# ------------------------------------------------------------------------------------- workers


def test_a_worker_that_dies_or_hangs_costs_its_own_job():
    pool = workers.LocalWorkers(1, seconds=3)
    order = [b"one", b"die", b"raise", b"hang", b"two"]
    futures = [pool.submit(jobs.shout, job) for job in order]
    assert futures[0].result(60) == b"ONE"
    for future, message in ((futures[1], "died"), (futures[3], "in time")):
        with pytest.raises(workers.WorkerLost, match=message):
            future.result(60)
    with pytest.raises(RuntimeError, match="ValueError: two lines"):
        futures[2].result(60)
    assert futures[4].result(60) == b"TWO"
    pool.shutdown()


def test_a_lost_job_is_tried_again_once_then_recorded(tmp_path, monkeypatch):
    tiny.submit(tmp_path / "submitted", ada=tiny.answer(), ben=tiny.answer())
    tries = []

    class Broken(concurrent.futures.Executor):
        workers = 1

        def __init__(self, *_):
            pass

        def start(self):
            pass

        def submit(self, function, job):
            tries.append(job)
            future = concurrent.futures.Future()
            if len(tries) == 1:
                source = tiny.source()
                verdicts = grade.zeros(source, "graded", "fine")
                future.set_result(json.dumps({**tiny.result(), "verdicts": verdicts,
                                              "notebook": None}).encode())  # fmt: skip
            else:
                future.set_exception(workers.WorkerLost("the worker died"))
            return future

        def shutdown(self, *_, **__):
            pass

    monkeypatch.setattr(grade, "LocalWorkers", Broken)
    lines = run(tmp_path, workers=1)
    assert len(tries) == 3 and tries[1] == tries[2]
    assert table(tmp_path)["ada", "double"] == ("0", "graded")
    assert table(tmp_path)["ben", "double"] == ("0", "crash")
    assert any("ben" in line and "could not be graded" in line for line in lines)


def test_jobs_of_equal_submissions_are_equal_bytes():
    one, two = (grade.make_job(tiny.ID, tiny.source(), b"{}", b"s", LIMITS) for _ in range(2))
    assert one == two
    assert one != grade.make_job(tiny.ID, tiny.source(), b"{}", b"t", LIMITS)


def test_seeds(tmp_path, monkeypatch):
    secret = grade.course_seed(tmp_path)
    assert grade.course_seed(tmp_path) == secret
    seeds = {grade.submission_seed(secret, n, s) for n in ("a", "b") for s in ("x", "y")}
    assert len(seeds) == 4
    monkeypatch.setenv("COURSE_SEED", "given")
    assert grade.course_seed(tmp_path) == b"given"


# ---------------------------------------------------------------------------------- the command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["grade", "{tmp}/nowhere", "--out", "{tmp}/out"], "cannot read"),
        (["grade", "{tmp}", "--out", "{tmp}/out"], "no submissions in"),
        (["grade", "{tmp}", "--out", "{tmp}/out", "--assignment", "nope"], "no assignment 'nope'"),
        (["report", "--out", "{tmp}"], "nothing graded in"),
    ],
)
def test_mistakes_are_one_line_and_status_2(arguments, said, tmp_path, capsys):
    assert cli.main([a.format(tmp=tmp_path) for a in arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_help_imports_nothing_heavy():
    code = "import sys, autograder.cli as c; c.parser(); "
    code += "print([m for m in ('torch', 'nbformat', 'nbgrader', 'jupytext') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


INTERRUPTED = """
import os, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
sys.path.insert(0, {here!r})
import test_grade
def stop(line):
    if line.startswith("ada 90_tiny: unreadable"):
        stop.at = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)
if __name__ == "__main__":
    import tiny
    from pathlib import Path
    from autograder import grade
    root = Path({root!r})
    results, interrupted = grade.grade(
        root / "submitted", root / "out", say=stop, workers=1, limits=test_grade.LIMITS,
        sources={{tiny.ID: tiny.source()}}, hidden={{tiny.ID: tiny.HIDDEN}})
    print(interrupted, len(results), time.monotonic() - stop.at < 10)
"""


KILLED = """
import sys
sys.path.insert(0, {here!r})
if __name__ == "__main__":
    import tiny
    from pathlib import Path
    from autograder import grade
    from autograder.sandbox import Limits
    root = Path({root!r})
    grade.grade(
        root / "submitted", root / "out", say=str, workers=1, limits=Limits(cell_seconds=60),
        sources={{tiny.ID: tiny.source()}}, hidden={{tiny.ID: tiny.HIDDEN}})
"""


def test_a_killed_driver_takes_all_that_it_started_with_it(tmp_path):
    word = f"{900 + os.getpid()}.0125"
    cell = f"# exercise: double\nimport subprocess\nsubprocess.run(['sleep', '{word}'])"
    tiny.submit(tmp_path / "submitted", ada=tiny.answer(double=cell))
    script = tmp_path / "script.py"
    script.write_text(KILLED.format(here=os.path.dirname(__file__), root=str(tmp_path)))
    with subprocess.Popen([sys.executable, str(script)], start_new_session=True) as driver:
        below = []
        try:
            until = time.monotonic() + 120
            while not any(word in names for _, names in below):
                assert driver.poll() is None and time.monotonic() < until
                time.sleep(0.2)
                below = [(p, arguments(p)) for p in psutil.Process(driver.pid).children(True)]
        finally:
            driver.kill()
    # Its worker waits for that sleep for a minute, and would not look whether anyone still cares.
    psutil.wait_procs([p for p, _ in below], timeout=10)
    assert [names for p, names in below if p.is_running()] == []


def arguments(process):
    """The command line of a process; empty if it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_ctrl_c_stops_in_seconds_and_keeps_what_is_done(tmp_path):
    broken = b"{"  # told by a line, which is when the run is interrupted
    loop = tiny.answer(double="# exercise: double\nwhile True: pass")
    tiny.submit(tmp_path / "submitted", ada=broken, ben=loop, cy=loop)
    script = tmp_path / "script.py"
    here = os.path.dirname(__file__)
    script.write_text(INTERRUPTED.format(here=here, root=str(tmp_path)))
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        out, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert out.strip() == "True 1 True"
    assert table(tmp_path)["ada", "double"] == ("0", "unreadable")
