"""Grade a class: find the submissions, grade each in a worker process, record them in one place.

    driver   walk -> jobs ->  worker: grade_submission(bytes) -> bytes  -> results -> record
             one writer       restore, judged run, display run             gradebook, CSV, pages

A job is bytes with everything in it (submission, instructor's notebook, hidden tests, seed, limits)
and so is its result, so a worker needs no shared disk and equal jobs have equal results. Whatever a
submission does, it costs its own student alone: every submission gets a row for every exercise.

What is graded: every student's folder against every assignment that is asked for. Without a wish
these are the assignments that at least one student has a folder for; a student without a notebook
there gets rows with status `missing`.

A result carries the key of all it depends on: job, environment, what is recorded beside it. It is
written last, so a run that was killed anywhere goes on with the same command, and a submission that
did not change is not graded again.
"""

import base64
import concurrent.futures
import hashlib
import hmac
import json
import os
import secrets
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from functools import cache, lru_cache
from pathlib import Path

from autograder import record
from autograder.collect import GradeError, find_submissions, read_attachments
from autograder.record import one_line
from autograder.workers import LocalWorkers

PROGRESS_SECONDS = 15
REPAIR_LINES = 3  # of one submission on the screen; its feedback page has them all


# ---------------------------------------------------------------------------------------------
# The worker: a pure function of bytes

_here = threading.local()  # the warm processes of this worker; bwrap ends with its thread


def make_job(
    notebook_id, source, submission, seed, limits, sandbox="auto", hidden=None, files=None
) -> bytes:
    """All that grading one submission depends on.

    source: the instructor's notebook (nbformat node). submission: bytes of the student's file.
    seed: bytes, of this submission. hidden: text of the hidden tests, None for a notebook whose
    tests stand in its cells. files: what was handed in beside it, see collect.read_attachments.
    """
    job = {
        "notebook_id": notebook_id,
        "source": json.dumps(source, sort_keys=True),
        "submission": base64.b64encode(submission).decode("ascii"),
        "seed": seed.hex(),
        "limits": asdict(limits),
        "sandbox": sandbox,
        "hidden": hidden,
        "files": {
            name: base64.b64encode(data).decode("ascii") if isinstance(data, bytes) else [data]
            for name, data in (files or {}).items()
        },
    }
    return json.dumps(job, sort_keys=True).encode()


def grade_submission(job: bytes) -> bytes:
    """Grade one submission: bytes of `make_job` in, bytes of JSON out.

    The result holds `verdicts` (a dict per exercise, in order), `notebook` (autograded, None when
    it could not be read), `repairs`, `problems` (of the display run) and `seconds` per stage.
    """
    from autograder.restore import Unreadable, restore
    from autograder.sandbox import Limits, SandboxError

    clock = _Clock()
    task = json.loads(job)
    source, blank = _instructors(task["source"])
    limits = Limits(**task["limits"])
    warm = _start_warm(task["sandbox"], limits)  # imports go on while the notebook is restored
    try:
        restored = restore(base64.b64decode(task["submission"]), source, blank)
    except Unreadable as error:
        return _pack(zeros(source, error.status, error.message), seconds=clock.stages())
    clock.lap("restore")
    try:
        for process in warm:
            process.wait_ready()
        clock.lap("start")
        if task["hidden"] is None:
            graded = _run_inline(task, restored.notebook, warm, limits, clock)
        else:
            graded = _run_judged(task, source, restored, warm, limits, clock)
    except SandboxError:
        close_warm()  # the next job of this worker starts afresh
        raise
    notebook, verdicts, problems = graded
    return _pack(
        verdicts,
        notebook=notebook,
        repairs=[one_line(line) for line in restored.report],
        problems=problems,
        seconds=clock.stages(),
    )


@lru_cache(maxsize=16)
def _instructors(text):
    """The instructor's notebook and what was handed out of it: read only, shared by all jobs."""
    import nbformat

    from autograder.restore import blank_notebook

    source = nbformat.from_dict(json.loads(text))
    return source, blank_notebook(source)


def _run_judged(task, source, restored, warm, limits, clock):
    """The judge's verdicts, and what the cells show."""
    from autograder.display import Show, language_info
    from autograder.judge import Step, judge_notebook

    student_warm, judge_warm = warm
    notebook = restored.notebook
    cells = record.graded_cells(source)
    points = {e: p for e, grade_id, p in cells if grade_id.startswith("test_")}
    # Shown are the cells that the feedback shows: demonstrations are the instructor's, and cost
    # more than all the rest.
    show = Show(
        [
            (c.id, _without_hidden_lines(c))
            for c in notebook.cells
            if c.cell_type == "code" and _is_shown(c) and c.source.strip()
        ]
    )
    judged = judge_notebook(
        task["notebook_id"],
        [Step(*step) for step in restored.judged_cells()],
        bytes.fromhex(task["seed"]),
        student_warm,
        judge_warm,
        limits,
        points=points,
        hidden_source=task["hidden"],
        files={
            name: base64.b64decode(data) if isinstance(data, str) else data[0]
            for name, data in task["files"].items()
        },
        show=show,
    )
    clock.lap("judge")
    problems = []
    if show.outputs is None:
        problems = _run_kernel(notebook, judged, show, student_warm, limits)
    else:
        for cell in notebook.cells:
            if cell.id in show.outputs:
                cell.execution_count, cell.outputs = show.outputs[cell.id]
    record.keep_safe_outputs(notebook)
    record.write_scores(notebook, judged)
    notebook.metadata.pop("widgets", None)
    notebook.metadata.setdefault("language_info", language_info())
    clock.lap("display")
    return notebook, _verdicts(cells, judged, notebook), _lines(problems)


def _run_kernel(notebook, judged, show, warm, limits):
    """Run the cells of `show` in a Jupyter kernel, put in what they show, return the problems.

    What hung or crashed before a judge would do so again, and take as long: it is left out.
    """
    from autograder.kernel import display_run

    shown = dict(show.cells)
    hurt = {e for e, v in judged.items() if v.status in ("timeout", "memory", "crash")}
    skip = {c.id for c in notebook.cells if c.id not in shown or _exercise(c) in hurt}
    sources = {c.id: c.source for c in notebook.cells}
    for cell in notebook.cells:
        cell.source = shown.get(cell.id, cell.source)
    _, problems = display_run(notebook, warm, limits, skip=frozenset(skip))
    for cell in notebook.cells:
        cell.source = sources[cell.id]
    return problems


def _run_inline(task, notebook, warm, limits, clock):
    """A notebook with its tests in its cells: one run in the student's kernel, nbgrader's rules."""
    from autograder.kernel import display_run

    cells = record.graded_cells(notebook)
    skip = frozenset(c.id for c in notebook.cells if "long" in c.metadata.get("tags", ()))
    notebook, problems = display_run(notebook, warm[0], limits, skip=skip)
    clock.lap("display")
    verdicts = _verdicts(cells, {}, notebook)
    record.keep_safe_outputs(notebook)
    return notebook, verdicts, _lines(problems)


def zeros(source, status, message):
    """Verdicts of a submission that was not run: every exercise 0, with one status and message."""
    return [
        _verdict(exercise, 0.0, points, status, message)
        for exercise, _, points in record.graded_cells(source)
    ]


def _verdict(exercise, score, max_score, status, message, seconds=0.0, properties=()):
    return {
        "exercise": exercise,
        "score": score,
        "max_score": max_score,
        "status": status,
        "message": one_line(message),
        "seconds": seconds,
        "properties": [list(p) for p in properties],
    }


def _verdicts(cells, judged, notebook):
    """One verdict per graded cell: the judge's, or nbgrader's own rule where there is no judge."""
    from nbgrader.utils import determine_grade

    by_id = {c.metadata.nbgrader.grade_id: c for c in notebook.cells if c.metadata.get("nbgrader")}
    found = []
    for exercise, grade_id, points in cells:
        v = judged.get(exercise)
        if v is not None:
            score = None if v.status == "ungraded" else v.score
            if not record.valid_score(score, points):
                raise ValueError(f"the judge gave {exercise} {score} of {points} points")
            found.append(
                _verdict(exercise, score, points, v.status, v.message, v.seconds, v.properties)
            )
            continue
        cell = by_id[grade_id]
        try:
            score = determine_grade(cell)[0]
        except (KeyError, ValueError) as error:  # partial credit beyond the maximum, no number
            found.append(_verdict(exercise, 0.0, points, "crash", f"not a score: {error}"))
            continue
        if score is None:
            found.append(_verdict(exercise, None, points, "ungraded", "waits for a hand grade"))
        else:
            found.append(_verdict(exercise, score, points, *_outcome(cell, score, points)))
    return found


def _outcome(cell, score, points):
    """(status, message) of a cell that nbgrader graded by its outputs; never its test's text."""
    errors = [o for o in cell.get("outputs", ()) if o.output_type == "error"]
    names = {o.ename for o in errors}
    if names & {"CellTimeoutError", "TimeoutError"}:
        return "timeout", "the cell took too long"
    if names & {"DeadKernelError"}:
        return "crash", "the cell ended the Python process"
    if names & {"MemoryError"}:
        return "memory", "the cell used too much memory"
    if cell.metadata.nbgrader.get("solution"):
        return "graded", "no answer"  # else it would wait for a hand grade
    if score == points:
        return "graded", "all tests pass"
    if errors:
        return "graded", f"the test cell raised {errors[0].ename}"
    return "graded", "some tests fail"


def _exercise(cell):
    """The exercise a cell belongs to by its grade_id, solution or test cell; None without one."""
    return cell.metadata.get("nbgrader", {}).get("grade_id", "").removeprefix("test_") or None


def _is_shown(cell):
    return "setup" in cell.metadata.get("tags", ()) or _exercise(cell) is not None


def _without_hidden_lines(cell):
    """The source of a cell; of a test cell it ends before the hidden region."""
    head, mark, rest = cell.source.partition("### BEGIN HIDDEN TESTS")
    if mark and cell.metadata.get("nbgrader", {}).get("grade"):
        return head.rstrip() + rest.partition("### END HIDDEN TESTS")[2]
    return cell.source


def _lines(problems):
    return [one_line(p) for p in problems]


def _pack(verdicts, notebook=None, repairs=(), problems=(), seconds=None):
    result = {
        "verdicts": verdicts,
        "notebook": notebook,
        "repairs": list(repairs),
        "problems": list(problems),
        "seconds": seconds or {},
    }
    return json.dumps(result).encode()


class _Clock:
    """Seconds per stage."""

    def __init__(self):
        self.began = self.last = time.perf_counter()
        self.spent = {}

    def lap(self, stage):
        now = time.perf_counter()
        self.spent[stage] = self.spent.get(stage, 0.0) + now - self.last
        self.last = now

    def stages(self):
        return {**self.spent, "total": time.perf_counter() - self.began}


def start_pair(sandbox, limits):
    """The two warm processes, which are not ready yet."""
    from autograder.warm import start_warm

    pair = [start_warm("student", sandbox, limits, wait=False)]
    return [*pair, start_warm("judge", sandbox, limits, wait=False)]


def _start_warm(sandbox, limits):
    """This worker's two warm processes, started at its first job and kept for the others."""
    key = (sandbox, limits)
    if getattr(_here, "key", None) != key:
        close_warm()
        _here.pair, _here.key = start_pair(sandbox, limits), key
    return _here.pair


def close_warm():
    """End this thread's warm processes, if any."""
    for process in getattr(_here, "pair", ()):
        process.close()
    _here.pair, _here.key = (), None


# ---------------------------------------------------------------------------------------------
# Secret seed


def course_seed(out) -> bytes:
    """The secret that all hidden inputs of a course derive from: COURSE_SEED, else a file in `out`.

    The file is made at first use and only its owner may read it. Keeping it keeps every score.
    """
    if given := os.environ.get("COURSE_SEED"):
        return given.encode()
    path = Path(out) / ".course_seed"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        text = path.read_text().strip()
        if len(text) < 32:
            raise GradeError(
                f"{path} holds no seed: restore it or delete it (scores may change)"
            ) from None
        return text.encode()
    with os.fdopen(handle, "w") as file:
        text = secrets.token_hex(32)
        file.write(text + "\n")
    return text.encode()


def submission_seed(secret: bytes, notebook_id: str, student: str) -> bytes:
    """The seed of one submission: HMAC-SHA256(secret, "<notebook_id>/<student>"), 32 bytes."""
    message = f"{notebook_id}/{student}".encode("utf-8", "surrogateescape")
    return hmac.digest(secret, message, hashlib.sha256)


# ---------------------------------------------------------------------------------------------
# What a result depends on

PACKAGES = (
    "torch",
    "numpy",
    "transformers",
    "peft",
    "ipython",
    "ipykernel",
    "nbclient",
    "nbformat",
)


@cache
def ingredients() -> dict[str, str]:
    """What grades, name -> version: Python, the packages, the code of course and grader.

    Hidden tests are not in it (a job has its own), nor are mutants."""
    from importlib.metadata import PackageNotFoundError, version

    import course_lib

    found = {"Python": one_line(sys.version)}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    digest = hashlib.sha256()
    for root, pattern in (
        (Path(course_lib.__file__).parent, "**/*"),
        (Path(__file__).parent, "*.py"),
    ):
        for path in sorted(root.glob(pattern)):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{root.name}/{path.relative_to(root).as_posix()}\n".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return {**found, "the course's code": digest.hexdigest()[:16]}


@cache
def environment() -> str:
    """A digest of what grades."""
    return hashlib.sha256(json.dumps(ingredients()).encode()).hexdigest()


def result_key(submission, job, source) -> str:
    """The key of a result: equal keys, equal results. job: bytes, or verdicts that need no run."""
    digest = hashlib.sha256(environment().encode())
    verdicts = isinstance(job, list)
    digest.update(json.dumps([job, source]).encode() if verdicts else job)
    stamp = record.read_timestamp(submission.folder) if submission.path else None
    digest.update(repr((submission.student, submission.notes, stamp)).encode())
    return digest.hexdigest()


# ---------------------------------------------------------------------------------------------
# The driver


def known_assignments(out):
    """The ids of this course's notebooks, and of others that stand in `out`/source."""
    from autograder.build import notebook_ids

    others = sorted((Path(out) / "source").glob("*/*.ipynb"))
    return list(
        dict.fromkeys([*notebook_ids(), *(p.stem for p in others if p.stem == p.parent.name)])
    )


def course_source(notebook_id, out):
    """The instructor's notebook: of this course, else the one in `out`/source."""
    import nbformat

    from autograder.build import notebook_ids, source_notebook

    if notebook_id in notebook_ids():
        return source_notebook(notebook_id)
    return nbformat.read(Path(out) / "source" / notebook_id / f"{notebook_id}.ipynb", as_version=4)


def hidden_tests(notebook_id, source):
    """The text of the hidden tests of a judged notebook; None if the tests stand in its cells."""
    if not any(c.cell_type == "code" and 'hidden("' in c.source for c in source.cells):
        return None
    path = Path(__file__).parent / "hidden" / f"{notebook_id}.py"
    try:
        return path.read_text()
    except OSError as error:
        raise GradeError(f"cannot read the hidden tests {path}: {error.strerror}") from None


def grade(
    submitted,
    out,
    *,
    assignment=None,
    workers=None,
    scheduler=None,
    sandbox="auto",
    limits=None,
    sources=None,
    hidden=None,
    say=print,
    notes=True,
):
    """Grade all submissions below `submitted` into the course directory `out`.

    sources: id -> instructor's notebook, by default the course's own; hidden: id -> text of the
    hidden tests, by default autograder/hidden. say: where lines go;
    notes: whether problems are told as they come.
    Returns (results of this run, whether it was interrupted). GradeError, RecordError or
    SandboxError when it cannot start.
    """
    from autograder.sandbox import Limits, describe

    began = time.perf_counter()
    limits = limits or Limits()
    known = known_assignments(out) if sources is None else list(sources)
    if assignment and assignment not in known:
        raise GradeError(f"no assignment {assignment!r}: known are {', '.join(known)}")
    submissions, remarks = find_submissions(submitted, known, assignment)
    scope = sorted({s.assignment for s in submissions})
    sources = {name: sources[name] if sources else course_source(name, out) for name in scope}
    if hidden is None:
        hidden = {name: hidden_tests(name, source) for name, source in sources.items()}
    say("Sandbox: of the workers" if scheduler else describe(sandbox))
    to_run = sum(1 for s in submissions if s.path)
    with _only_one(out), _executor(limits, workers, scheduler, to_run, sandbox, say) as executor:
        if to_run and not scheduler and not record.has_gradebook(out):
            executor.start()  # nothing is graded yet: import torch while nbgrader makes its tables
        return _grade_all(
            submitted, out, submissions, remarks, sources, hidden, limits, sandbox,
            executor, say, notes, began,
        )  # fmt: skip


@contextmanager
def _only_one(out):
    """Hold the course directory; GradeError while another run does. It ends with its process."""
    import fcntl

    try:
        Path(out).mkdir(parents=True, exist_ok=True)
        file = open(Path(out) / ".lock", "w")  # noqa: SIM115 - closed below
    except OSError as error:
        raise record.RecordError(f"cannot write to {out}: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise GradeError(
                f"another run is grading into {out}: wait for it or choose another --out"
            ) from None
        yield


def _grade_all(
    submitted, out, submissions, remarks, sources, hidden, limits, sandbox,
    executor, say, notes, began,
):  # fmt: skip
    from autograder.restore import Unreadable, read_submission

    record.prepare_course(out, submitted, sources)
    secret = course_seed(out)
    for remark in remarks:
        say(remark)

    def jobs():
        """(submission, job bytes or verdicts), read only when a worker has room for it."""
        for s in submissions:
            if s.problem:
                yield s, zeros(sources[s.assignment], *s.problem)
                continue
            try:
                data = read_submission(s.path, Path(submitted))
            except Unreadable as error:
                yield s, zeros(sources[s.assignment], error.status, error.message)
                continue
            seed = submission_seed(secret, s.assignment, s.student)
            source, tests = sources[s.assignment], hidden[s.assignment]
            files = read_attachments(s.assignment, s.path.parent, Path(submitted))
            yield s, make_job(s.assignment, source, data, seed, limits, sandbox, tests, files)

    # Only names are kept: what the driver takes does not grow with the class.
    done, interrupted, unchanged, counts = set(), False, 0, Counter()
    with record.open_gradebook(out) as gradebook, _progress(len(submissions), say) as bar:
        known, given = _recorded(gradebook, sources), record.manual_scores(gradebook)

        def keep(submission, result, key=None):
            with _room_to_write(out):
                result["key"] = key
                _keep(out, gradebook, submission, result, sources[submission.assignment])
            done.add((result["student"], result["assignment"]))
            counts[worst_status(result)] += 1
            for line in report_lines(result) if notes else ():
                bar.write(line)
            bar.update(counts=counts)

        def new():
            """Jobs whose result is not there yet, with their keys."""
            nonlocal unchanged
            for submission, job in jobs():
                key = result_key(submission, job, sources[submission.assignment])
                kept = (submission.student, submission.assignment) in known
                kept = _kept(out, given, submission, key) if kept else None
                if kept is None:
                    yield submission, job, key
                    continue
                unchanged += 1
                done.add((kept["student"], kept["assignment"]))
                counts[worst_status(kept)] += 1
                bar.update(counts=None)

        try:
            executor.tell = bar.write
            _run(new(), keep, sources, executor)
        except KeyboardInterrupt:
            interrupted = True
    everything = record.read_results(out)
    path = record.write_csv(out, everything)
    results = [r for r in everything if (r["student"], r["assignment"]) in done]
    seconds = time.perf_counter() - began
    _say_summary(say, results, len(submissions), interrupted, seconds, unchanged)
    say(f"grades: {path}")
    return results, interrupted


def _recorded(gradebook, sources):
    """(student, assignment) of all that the gradebook holds of these assignments."""
    from nbgrader.api import MissingEntry

    found = set()
    for name in sources:
        try:
            found |= {(s.student_id, name) for s in gradebook.assignment_submissions(name)}
        except MissingEntry:
            continue
    return found


def _kept(out, given, submission, key):
    """The result of an earlier run if its key is the same and its page is there, else None.
    `given`: what graders gave since, see record.manual_scores."""
    student, assignment = submission.student, submission.assignment
    path = record.result_path(out, student, assignment)
    try:
        result = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    page = Path(out) / "feedback" / student / assignment / f"{assignment}.html"
    if result.get("key") != key or not page.is_file():
        return None
    before = json.dumps(result)
    record.take_manual_scores(given, result)
    if (after := json.dumps(result)) != before:
        record.write_atomically(path, after)
    return result


@contextmanager
def _room_to_write(out):
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (OSError, SQLAlchemyError) as error:
        why = getattr(error, "strerror", None) or one_line(getattr(error, "orig", None) or error)
        raise record.RecordError(
            f"cannot write to {out}: {why}; what is graded is kept: the same command goes on"
        ) from None


def _executor(limits, workers, scheduler, to_run, sandbox, tell):
    """What runs the jobs. `tell`, which may be set anew, gets lines about it."""
    # One judged and one display run, and the import of torch by four processes at once.
    seconds = 2 * limits.notebook_seconds + 300
    if scheduler:
        from autograder.cluster import Cluster

        return Cluster(scheduler, seconds, sandbox, tell)
    count = max(1, min(workers or os.cpu_count() or 1, to_run))
    return LocalWorkers(count, seconds, lambda: start_pair(sandbox, limits))


def _run(jobs, keep, sources, executor):
    """Feed the executor, a little ahead of what it can do at once, and keep every result."""
    running = {}  # future -> (submission, job, key)
    failed = []  # the same, tried again at the end, each alone: what killed a worker kills no other

    def start(submission, job, key):
        running[executor.submit(grade_submission, job)] = (submission, job, key)

    def collect(last_try=False):
        done, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
        for future in done:
            submission, job, key = running.pop(future)
            try:
                result = json.loads(future.result())
            except Exception as error:  # the worker's, the cluster's or a fault of ours
                if not last_try:
                    failed.append((submission, job, key))
                    continue
                key = None  # not a result: the next run tries again
                message = f"could not be graded: {error}"
                result = _result(zeros(sources[submission.assignment], "crash", message))
            keep(submission, result, key)

    try:
        for submission, job, key in jobs:
            if isinstance(job, list):
                keep(submission, _result(job), key)
                continue
            while len(running) >= 2 * executor.workers:
                collect()
            start(submission, job, key)
        while running:
            collect()
        for again in failed:
            start(*again)
            collect(last_try=True)
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()


def _result(verdicts):
    return json.loads(_pack(verdicts))


def _keep(out, gradebook, submission, result, source):
    """Write one result everywhere. `result` gets student and assignment, and manual scores."""
    import nbformat
    from nbformat.v4.nbjson import writes

    from autograder import feedback

    student, assignment = submission.student, submission.assignment
    timestamp, complaint = None, None
    if submission.path:
        timestamp, complaint = record.read_timestamp(submission.folder)
    notes = [*submission.notes, *([complaint] if complaint else [])]
    result["student"], result["assignment"] = student, assignment
    result["repairs"] = [*notes, *result["repairs"]]
    notebook = result.pop("notebook")
    notebook = nbformat.from_dict(notebook) if notebook else None
    started = time.perf_counter()
    grade_ids = {exercise: grade_id for exercise, grade_id, _ in record.graded_cells(source)}
    ungraded = {grade_ids[v["exercise"]] for v in result["verdicts"] if v["score"] is None}
    scores = record.record_submission(gradebook, student, assignment, notebook, timestamp, ungraded)
    for v in result["verdicts"]:  # a grader's score in the gradebook wins
        recorded = scores[grade_ids[v["exercise"]]]
        if recorded != v["score"] and recorded is not None:
            record.by_hand(v, recorded)
    path = Path(out) / "autograded" / student / assignment / f"{assignment}.ipynb"
    if notebook:
        # nbformat.writes would check it against the schema; made of our own cells, it is right.
        record.write_atomically(path, writes(notebook) + "\n")
    else:
        path.unlink(missing_ok=True)  # of an earlier, readable submission
    result["seconds"]["record"] = time.perf_counter() - started
    started = time.perf_counter()
    feedback.write(out, result, notebook)
    result["seconds"]["feedback"] = time.perf_counter() - started
    record.write_atomically(record.result_path(out, student, assignment), json.dumps(result))


# ---------------------------------------------------------------------------------------------
# What is told on the screen


def _progress(total, say):
    """A bar with the time left on a terminal; a line now and then where output goes to a file."""
    if not sys.stderr.isatty():
        return nullcontext(_Lines(total, say))
    from tqdm import tqdm

    class Bar(tqdm):
        def update(self, n=1, *, counts=None):
            super().update(n)
            if counts is None:  # nothing was done for it: no measure of the time left
                self.initial += n
            else:
                self.set_postfix_str(_counted(counts), refresh=False)

    return Bar(total=total, unit="notebook", desc="grading", smoothing=0.1)


class _Lines:
    """What is used of tqdm, for a file."""

    def __init__(self, total, say):
        self.total, self.write, self.left, self.done = total, say, total, 0
        self.began = self.told = time.perf_counter()

    def update(self, *, counts=None):
        self.left -= 1
        if counts is None:
            return
        self.done += 1
        now = time.perf_counter()
        if now - self.told > PROGRESS_SECONDS and self.done > 4 and self.left:
            seconds = (now - self.began) / self.done * self.left
            self.write(
                f"{self.total - self.left} of {self.total}, about {seconds:.0f} s left: "
                f"{_counted(counts)}"
            )
            self.told = now


def worst_status(result):
    """The status that tells most of a submission: what went wrong, else a wait, else graded."""
    found = {v["status"] for v in result["verdicts"]}
    order = ("unreadable", "missing", "memory", "crash", "timeout", "ungraded")
    return next((status for status in order if status in found), "graded")


def _counted(counts):
    return ", ".join(f"{n} {status}" for status, n in counts.most_common())


def report_lines(result):
    """One line for a submission with a problem, and what was repaired in it."""
    name = f"{result['student']} {result['assignment']}"
    statuses = {v["status"] for v in result["verdicts"]} - {"graded", "ungraded"}
    whole = len({(v["status"], v["message"]) for v in result["verdicts"]}) == 1
    lines = []
    if statuses and whole:
        first = result["verdicts"][0]
        lines.append(f"{name}: {first['status']}: {first['message']}")
    else:
        lines += [
            f"{name}: {v['exercise']}: {v['status']}: {v['message']}"
            for v in result["verdicts"]
            if v["status"] in ("timeout", "memory", "crash")
        ]
    repairs = result["repairs"]
    lines += [f"{name}: note: {line}" for line in repairs[:REPAIR_LINES]]
    if len(repairs) > REPAIR_LINES:
        lines.append(f"{name}: note: and {len(repairs) - REPAIR_LINES} more, see its feedback")
    return [one_line(line) for line in lines]


def _say_summary(say, results, total, interrupted, seconds, unchanged):
    for line in summary_table(results):
        say(line)
    if interrupted:
        say(f"stopped: {len(results)} of {total} submissions graded; the same command goes on")
    done = len(results) - unchanged
    each = f", {seconds / done:.2f} s each" if done else ""
    same = f"; {unchanged} had not changed since the last run" if unchanged else ""
    say(f"{done} submissions in {seconds:.1f} s{each}{same}")
    say(f"submissions: {_counted(Counter(map(worst_status, results)))}")
    waiting = sum(v["score"] is None for r in results for v in r["verdicts"])
    lost = sum(not r.get("key") for r in results)
    if waiting:
        say(f"needs a person: {waiting} answers wait for a hand grade (nbgrader formgrader)")
    if lost:
        say(f"needs a person: {lost} submissions could not be graded; run the command again")


def summary_table(results, most=60):
    """Lines of a table: students x notebooks with points and what went wrong, or per notebook."""
    if not results:
        return []
    assignments = sorted({r["assignment"] for r in results})
    students = sorted({r["student"] for r in results})
    by = {(r["student"], r["assignment"]): r for r in results}
    if len(students) > most:
        table = [("assignment", "submissions", "mean", "not graded")]
        for a in assignments:
            mine = [r for r in results if r["assignment"] == a]
            mean = sum(_points(r) for r in mine) / len(mine)
            bad = sum(
                any(v["status"] not in ("graded", "ungraded") for v in r["verdicts"]) for r in mine
            )
            table.append((a, str(len(mine)), f"{mean:.2f} / {_max(mine[0]):g}", str(bad)))
    else:
        table = [("student", *assignments)]
        for s in students:
            cells = (_cell(by[s, a]) if (s, a) in by else "-" for a in assignments)
            table.append((one_line(s, 30), *cells))
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    lines = [
        "  ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)).rstrip() for row in table
    ]
    return [lines[0], "  ".join("-" * w for w in widths), *lines[1:]]


def _points(result):
    return sum(v["score"] or 0.0 for v in result["verdicts"])


def _max(result):
    return sum(v["max_score"] for v in result["verdicts"])


def _cell(result):
    """`17.5 / 20` and the statuses that are not plain grades."""
    odd = sorted({v["status"] for v in result["verdicts"]} - {"graded"})
    return f"{_points(result):g} / {_max(result):g}" + (f" ({', '.join(odd)})" if odd else "")
