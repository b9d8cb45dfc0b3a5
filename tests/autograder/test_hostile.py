"""The attack suite: all hostile and broken submissions of attacks/, graded in one class.

Each must get exactly what its entry says, and whatever they do together: the neighbours keep their
marks, no process stays, nothing outside the output folder changes, no file that a student sees
holds a hidden test or a solution, and it ends in time. The fast ones run in `make test`, all of
them in `make test-all`, where they are also run by a user without rights.
"""

import csv
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import attacks
import psutil
import pytest
from forks import as_ordinary_user, no_ordinary_user

from autograder import grade, record, report
from autograder.sandbox import Limits, SandboxError, resolve_mode

LIMITS = Limits(
    cell_seconds=4, call_seconds=4, notebook_seconds=45, memory_bytes=2 << 30, cpu_seconds=60
)
# What fills a memory or a disk must get that far before its time is up, on a busy machine too.
PATIENT = replace(LIMITS, cell_seconds=12, call_seconds=12, notebook_seconds=90)
NEIGHBOURS = ("aaron_honest", "mia_honest", "zoe_honest")
REPOSITORY = Path(__file__).resolve().parents[2]
ALL = attacks.load()
FAST = [attack for attack in ALL if not attack.slow]


def test_the_suite_is_large_and_each_name_is_used_once():
    families = {family: 0 for family in ("forging", "channel", "damage", "broken")}
    for attack in ALL:
        families[attack.family] += 1
    assert len(ALL) >= 60 and min(families.values()) >= 15
    assert len({attack.name for attack in ALL}) == len(ALL)


class Class:
    """A graded class of attackers and honest neighbours, and what was there before and after."""

    def __init__(self, root, chosen, limits):
        self.limits = limits
        try:
            self.mode = resolve_mode("auto")
        except SandboxError:
            self.mode = "none"
        self.attacks = [a for a in chosen if self.mode != "none" or not a.walled]
        self.root, self.out = root, root / "out"
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        self.students = write_class(root / "submitted", self.attacks, port)
        (root / "canary").mkdir()
        (root / "canary" / "file").write_text("tweet")
        self.before = snapshot(root)
        self.processes = processes()
        bystander = subprocess.Popen(["sleep", "600"])
        os.environ["HOSTILE_SECRET"] = "hostile_canary"
        began, self.load = time.monotonic(), busy()
        try:
            grade.grade(
                root / "submitted",
                self.out,
                workers=2,
                sandbox=self.mode,
                limits=limits,
                sources={attacks.ID: attacks.source()},
                hidden={attacks.ID: attacks.HIDDEN},
                say=lambda line: None,
            )
        finally:
            self.seconds = time.monotonic() - began
            self.load = max(self.load, busy())
            self.bystander_lives = bystander.poll() is None
            bystander.kill()
            bystander.wait()
            del os.environ["HOSTILE_SECRET"]
            listener.close()
        report.write(self.out)
        self.rows = {}
        with (self.out / "grades.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                self.rows[row["student"], row["exercise"]] = row

    def row(self, student, exercise):
        return self.rows[record.csv_text(student), exercise]


def busy():
    """How many times as long things take while others use this machine, about; 1 if nobody does."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1) - 1)


def write_class(submitted, chosen, port):
    """Write the submissions; returns attack name -> the student's recorded name."""
    students = {}
    for name in NEIGHBOURS:
        folder = submitted / name / attacks.ID
        folder.mkdir(parents=True)
        data = json.dumps(attacks.notebook()).encode()
        (folder / f"{attacks.ID}.ipynb").write_bytes(data)
    for attack in chosen:
        name = attack.student or "m " + re.sub(r"\W+", "_", attack.name)
        folder = submitted / name / attacks.ID
        folder.mkdir(parents=True)
        data = attacks.submission(attack).replace(b"HOST_PORT", str(port).encode())
        if attack.place:
            attack.place(folder, data)
        else:
            (folder / f"{attacks.ID}.ipynb").write_bytes(data)
        students[attack.name] = record.student_id(name)
    return students


def snapshot(root):
    """Path -> what it is and holds, of everything but the output folder. Follows no link."""
    found = {}
    for place, folders, files in os.walk(os.fsencode(root)):
        for name in (*folders, *files):
            path = os.path.join(place, name)
            if os.path.relpath(path, os.fsencode(root)).startswith(b"out"):
                continue
            state = os.lstat(path)
            content = b""
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    content = hashlib.sha256(file.read()).digest()
            found[path] = (state.st_mode, state.st_uid, state.st_nlink, state.st_mtime_ns, content)
    return found


def processes():
    """The processes of this user: (number, start)."""
    found = set()
    for process in psutil.process_iter(["pid", "create_time", "uids"]):
        if process.info["uids"] and process.info["uids"].real == os.getuid():
            found.add((process.info["pid"], process.info["create_time"]))
    return found


@pytest.fixture(scope="module")
def fast_class(tmp_path_factory):
    return Class(tmp_path_factory.mktemp("hostile"), FAST, LIMITS)


@pytest.fixture(scope="module")
def slow_class(tmp_path_factory):
    return Class(tmp_path_factory.mktemp("hostile_slow"), [a for a in ALL if a.slow], PATIENT)


def check(graded, attack):
    if attack not in graded.attacks:
        pytest.skip("this machine has no sandbox")
    rows = [graded.row(graded.students[attack.name], exercise) for exercise in attacks.POINTS]
    told = [(row["status"], row["message"]) for row in rows]
    assert tuple(float(row["score"]) for row in rows) == attack.scores, told
    assert re.fullmatch(attack.status, rows[1]["status"]), told
    assert re.search(attack.message, rows[1]["message"]), rows[1]["message"]
    for row in rows:
        assert row["status"] in record.STATUSES
        assert row["message"].isprintable() and len(row["message"]) <= record.MESSAGE_LENGTH + 1


@pytest.mark.parametrize("attack", FAST, ids=lambda a: f"{a.family}: {a.name}")
def test_attack(fast_class, attack):
    check(fast_class, attack)


@pytest.mark.slow
@pytest.mark.parametrize(
    "attack", [a for a in ALL if a.slow], ids=lambda a: f"{a.family}: {a.name}"
)
def test_slow_attack(slow_class, attack):
    check(slow_class, attack)


@pytest.fixture(params=["fast_class", pytest.param("slow_class", marks=pytest.mark.slow)])
def graded(request):
    return request.getfixturevalue(request.param)


def test_neighbours_keep_their_marks(graded):
    for student in NEIGHBOURS:
        for exercise, points in attacks.POINTS.items():
            row = graded.row(student, exercise)
            assert (float(row["score"]), row["status"]) == (points, "graded"), (student, row)


def test_everybody_has_a_row_for_every_exercise(graded):
    students = {*NEIGHBOURS, *graded.students.values()}
    assert len(graded.rows) == len(students) * len(attacks.POINTS)


def test_the_gradebook_has_the_same_numbers(graded):
    with record.open_gradebook(graded.out) as gradebook:
        for submission in gradebook.assignment_submissions(attacks.ID):
            for cell in submission.notebooks[0].grades:
                row = graded.row(submission.student_id, cell.name.removeprefix("test_"))
                assert cell.score == float(row["score"]), (submission.student_id, cell.name)


def test_no_process_is_left(graded):
    left = set()
    for _ in range(50):
        left = {p for p in processes() - graded.processes if psutil.pid_exists(p[0])}
        left = {p for p in left if _of_grading(p[0])}
        if not left:
            break
        time.sleep(0.1)
    assert not left, [psutil.Process(pid).cmdline() for pid, _ in left]
    assert graded.bystander_lives
    for process in psutil.process_iter(["cmdline"]):
        assert process.info["cmdline"] != ["sleep", "31337"]


def _of_grading(pid):
    """Whether a process that was not there before is one that grading made: others come and go."""
    try:
        command = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return False
    mine = os.getpid() in [p.pid for p in psutil.Process(pid).parents()]
    return mine and "resource_tracker" not in command


def test_nothing_outside_the_output_changed(graded):
    assert snapshot(graded.root) == graded.before
    assert sorted(p.name for p in graded.root.iterdir()) == ["canary", "out", "submitted"]
    places = [Path("/"), Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), Path("/root")]
    places += [Path.home(), Path.cwd(), REPOSITORY, *REPOSITORY.iterdir(), graded.out]
    for place in places:
        if place.is_dir() and os.access(place, os.R_OK):
            assert not [p for p in os.listdir(place) if p.startswith(attacks.MARK)], place
    for path in REPOSITORY.glob("autograder/*.py"):
        assert attacks.MARK not in path.read_text()


def test_the_output_holds_only_what_it_should(graded):
    """No name of a student leads out of its folder, and no link is copied into the results."""
    for place, folders, files in os.walk(graded.out):
        for name in (*folders, *files):
            assert not os.path.islink(os.path.join(place, name)), name
    known = {*NEIGHBOURS, *graded.students.values()}
    for folder in ("feedback", "autograded"):
        assert set(os.listdir(graded.out / folder)) <= known


class Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def seen_by_students(out):
    for folder in ("feedback", "autograded", "results"):
        yield from (p for p in (out / folder).rglob("*") if p.is_file())
    yield from (p for p in out.iterdir() if p.suffix in (".csv", ".html"))


def test_no_hidden_test_and_no_solution_is_shown(graded):
    paths = list(seen_by_students(graded.out))
    assert len(paths) > 2 * len(graded.students)
    for path in paths:
        text = path.read_text(encoding="utf-8", errors="replace")
        for secret in attacks.SECRETS:
            assert secret not in text, (path, secret)


def test_no_page_runs_anything(graded):
    for path in seen_by_students(graded.out):
        if path.suffix != ".html":
            continue
        for tag, attributes in Tags(path.read_text()).found:
            assert tag not in ("script", "iframe", "object", "embed", "link", "base", "form"), path
            for name, value in attributes.items():
                assert not name.startswith("on"), path
                if name in ("src", "href"):
                    assert value.startswith(("data:image/png;base64,", "feedback/", "#")), value


def test_no_cell_of_a_csv_is_a_formula(graded):
    for path in graded.out.rglob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.reader(file):
                assert not [cell for cell in row if cell.startswith(tuple("=+-@\t\r"))], row


def test_it_ends_in_time(graded):
    """A class of hundreds, every one of them hostile, shall not take the night."""
    each = {"timeout": 18 + 3 * graded.limits.cell_seconds}
    each["memory"] = each["timeout"]
    budget = 60 + sum(each.get(a.status, 10) for a in graded.attacks) / 2
    assert graded.seconds < budget * graded.load


@pytest.mark.slow
@pytest.mark.skipif(no_ordinary_user() is not None, reason=str(no_ordinary_user()))
def test_the_suite_passes_as_an_ordinary_user():
    command = [sys.executable, "-m", "pytest", "-x", "-m", "not slow", "-p", "no:cacheprovider"]
    done = as_ordinary_user([*command, "tests/autograder/test_hostile.py"])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
