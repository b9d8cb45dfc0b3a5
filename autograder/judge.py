"""Judge a submission: run its cells in a student process, test them from a judge process.

    worker   judge_notebook: forks a pair, gives orders, keeps the deadlines, adds up points
      ├ judge     run: a fork of judge-warm; holds the hidden tests, never runs student code
      └ student   student.serve: a fork of student-warm; runs the cells, answers the judge

Judge and student share one socket, on which answers come back as data only (channel.py). Judge and
worker share another one, with lines of JSON that the worker checks again. An exercise is tested
right after its cell. If a cell or a call hangs, crashes or uses too much memory, both processes
are killed, the exercise is marked, and a fresh pair replays the cells up to there (also a cell of
which a call went wrong: others may need what it defines). A bad cell costs its own exercise alone.
A process that ends by a signal may have been killed by the machine or its administrator: the cell
is run once more, and what it did itself it does again. Limits are wall time. What meets one while
the machine is too busy to let it run is also run once more, with limits stretched accordingly.

`python -m autograder.judge 01_gqa_moe repeat_kv answer.py` runs the hidden tests of one exercise on
one answer, for those who write them; other cells come from the reference solution.
"""

import argparse
import base64
import importlib
import json
import math
import select
import socket
import sys
import time
import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from autograder import channel
from autograder.judging import (
    IMPORTED,
    Draw,
    Fail,
    Property,
    Student,
    StudentError,
    Undefined,
    derive_seed,
    known_error,
    load_hidden,
)

MAX_LINE = 1 << 16  # of what the judge tells the worker
BUSY = 2 / 3  # a process that gets less than this share of a core could not do what it wanted
GRACE_SECONDS = 5  # after the judge should have noticed a deadline by itself
STATUSES = ("graded", "ungraded", "timeout", "memory", "crash", "missing")


@dataclass(frozen=True)
class Step:
    """One cell of the judged run. kind: "setup" (the instructor's) or "solution"."""

    kind: str
    exercise: str | None
    source: str


@dataclass
class Verdict:
    """The outcome of one exercise. `message` is one line that may be shown to the student;
    `properties` holds (title, passed, message) of each hidden property that was run."""

    exercise: str
    score: float
    max_score: float
    status: str
    message: str = ""
    seconds: float = 0.0
    properties: list[tuple[str, bool, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # seconds of each property


# ------------------------------------------------------------------------------- in the worker


def judge_notebook(
    notebook_id: str,
    steps: Iterable[Step],
    seed: bytes,
    student_warm,
    judge_warm,
    limits,
    *,
    points: Mapping[str, float] | None = None,
    hidden_source: str | None = None,
    files: Mapping[str, bytes | str] | None = None,
    debug: bool = False,
    only: Iterable[str] | None = None,
    show=None,
) -> dict[str, Verdict]:
    """Run the cells `steps` in order and test each exercise after its cell.

    seed: secret of this submission; the same seed gives the same inputs. student_warm, judge_warm:
    see warm.start_warm. limits: sandbox.Limits (cell_seconds, call_seconds, notebook_seconds are
    kept here). points: exercise -> points, by default from course_lib. hidden_source: the text of
    hidden tests to use in place of autograder/hidden/<notebook_id>.py. files: what was handed in
    beside the notebook, name -> bytes, or a line that says why it could not be read. debug:
    messages for the authors of hidden tests, not for students. only: judge these exercises alone.
    show: a display.Show, whose cells are run beside the first student process, before all tests.
    Returns a verdict for every exercise, whatever the submission does.
    """
    steps = list(steps)
    points = _points(notebook_id) if points is None else points
    wanted = set(points) if only is None else set(only)
    end = time.monotonic() + limits.notebook_seconds
    last = end + 1.5 * limits.notebook_seconds  # however busy the machine is
    settings = {
        "notebook": notebook_id,
        "seed": seed.hex(),
        "hidden": hidden_source,
        "call_seconds": limits.call_seconds,
        "debug": debug,
        "files": {
            name: [data] if isinstance(data, str) else base64.b64encode(data).decode("ascii")
            for name, data in (files or {}).items()
        },
    }
    verdicts: dict[str, Verdict] = {}
    broken: set[int] = set()  # cells that are not run again
    suspects: set[int] = set()  # cells that ran, but a call of what they define was lost
    repeated: set[int] = set()  # cells during which a process was killed once
    stretched = False  # once a notebook: an endless loop must end on a busy machine, too

    def waiting() -> set[str]:
        return {s.exercise for s in steps if s.kind == "solution"} & wanted - set(verdicts)

    while waiting() and time.monotonic() < end:
        with _Pair(student_warm, judge_warm, settings, limits, show) as pair:
            if show is not None:
                began, shown, show = time.monotonic(), show, None
                if not shown.take(pair.shows, limits):
                    end += time.monotonic() - began
                    continue
            for number, step in enumerate(steps):
                if not waiting() or time.monotonic() >= end:
                    break
                if number in broken:
                    continue
                started, starved = time.monotonic(), pair.starved()
                exercise = step.exercise if step.exercise in waiting() else None
                verdict = None
                try:
                    pair.execute(step, min(limits.cell_seconds, end - started))
                    if exercise is None:
                        continue
                    # A few slow calls are honest; an exercise that takes the time of all is not.
                    seconds = min(2 * limits.cell_seconds, end - time.monotonic())
                    verdict = pair.test(exercise, points.get(exercise, 0.0), seconds)
                except _Lost as lost:
                    if lost.by_signal and number not in repeated:
                        repeated.add(number)
                        break
                    now = time.monotonic()
                    share = 1 - (pair.starved() - starved) / max(now - started, 1e-9)  # of a core
                    if lost.status == "timeout" and share < BUSY and not stretched:
                        stretched, factor = True, min(10, 2 / max(share, 0.2))
                        limits = replace(
                            limits,
                            cell_seconds=factor * limits.cell_seconds,
                            call_seconds=factor * limits.call_seconds,
                        )
                        settings["call_seconds"] = limits.call_seconds
                        end = min(last, now + factor * (end - started))
                        break
                    if suspects and lost.status != "timeout":
                        # Perhaps the fault of an earlier cell, whose call went wrong before and
                        # which was run again for what it defines: try without it.
                        broken |= suspects
                        suspects.clear()
                        break
                    (suspects if lost.while_testing else broken).add(number)
                    if exercise is not None:
                        where = "a call" if lost.while_testing else "the cell"
                        message = lost.message.format(where=where)
                        verdict = Verdict(
                            exercise, 0.0, points.get(exercise, 0.0), lost.status, message
                        )
                if verdict is not None:
                    verdict.seconds = round(time.monotonic() - started, 3)
                    verdicts[exercise] = verdict
                if pair.lost:
                    break
    present = {step.exercise for step in steps if step.kind == "solution"}
    for exercise in [name for name in points if name in wanted and name not in verdicts]:
        late = exercise in present
        message = "the notebook ran out of time" if late else "its solution cell is missing"
        status = "timeout" if late else "missing"
        verdicts[exercise] = Verdict(exercise, 0.0, points[exercise], status, message)
    return verdicts


def repeat_tests(
    notebook_id: str,
    steps: Iterable[Step],
    exercise: str,
    seeds: Iterable[bytes],
    student_warm,
    judge_warm,
    limits,
    *,
    points: Mapping[str, float] | None = None,
    hidden_source: str | None = None,
) -> list[Verdict]:
    """Test one exercise once for each seed, for the self-check of the hidden tests.

    One pair of processes takes many seeds, so that this is fast: only the exercise's own cell is
    run anew for each. What an answer keeps elsewhere in its process outlives a seed; a difference
    found here is to be confirmed by `judge_notebook`. After the third lost pair the rest is left.
    """
    steps, seeds = list(steps), list(seeds)
    own = next(i for i, s in enumerate(steps) if s.kind == "solution" and s.exercise == exercise)
    points = (_points(notebook_id) if points is None else points).get(exercise, 0.0)
    settings = {
        "notebook": notebook_id,
        "seed": "",
        "hidden": hidden_source,
        "call_seconds": limits.call_seconds,
        "debug": False,
        "files": {},
    }
    # The processor time of a process is meant for one seed.
    limits = replace(limits, cpu_seconds=limits.cpu_seconds * len(seeds))
    verdicts, lost = [], 0
    while len(verdicts) < len(seeds) and lost < 3:
        with _Pair(student_warm, judge_warm, settings, limits) as pair:
            try:
                for step in steps[:own]:
                    pair.execute(step, limits.cell_seconds)
                for seed in seeds[len(verdicts) :]:
                    pair.reseed(seed)
                    pair.execute(steps[own], limits.cell_seconds)
                    verdicts.append(pair.test(exercise, points, 2 * limits.cell_seconds))
            except _Lost as loss:
                where = "a call" if loss.while_testing else "the cell"
                message = loss.message.format(where=where)
                verdicts.append(Verdict(exercise, 0.0, points, loss.status, message))
                lost += 1
    return verdicts


def _points(notebook_id: str) -> dict[str, float]:
    from course_lib.exercises import load_exercises

    return {name: float(e.points) for name, e in load_exercises(notebook_id).items()}


class _Lost(Exception):
    """The pair cannot go on: the student's process (or the judge) hangs, died or lied."""

    def __init__(self, status: str, message: str, while_testing: bool, by_signal: bool):
        self.status, self.message, self.while_testing = status, message, while_testing
        self.by_signal = by_signal  # neither for memory nor for time


class _Pair:
    """A student process, a judge process, and the worker's line to the judge."""

    def __init__(self, student_warm, judge_warm, settings: dict, limits, show=None):
        self.lost = False
        self.children = []
        self.line, judge_line = socket.socketpair()
        judge_end, student_end = socket.socketpair()
        self.shows, display_end = socket.socketpair()
        try:
            with judge_line, judge_end, student_end, display_end:
                self.student = student_warm.fork(
                    "autograder.student:serve",
                    b"" if show is None else show.order(limits),
                    [student_end.fileno(), display_end.fileno()],
                    limits,
                )
                self.children.append(self.student)
                self.judge = judge_warm.fork(
                    "autograder.judge:run",
                    json.dumps(settings).encode(),
                    [judge_line.fileno(), judge_end.fileno()],
                    limits,
                )
                self.children.append(self.judge)
        except BaseException:
            self.__exit__()
            raise
        self.buffer = b""

    def __enter__(self) -> "_Pair":
        return self

    def __exit__(self, *_) -> None:
        self.line.close()
        self.shows.close()
        for child in self.children:
            child.kill(wait=False)  # its supervisor sees to the end of all below it

    def starved(self) -> float:
        """Seconds that the student's and the judge's process, which take turns, were ready to run
        and waited for a core; 0.0 where the kernel does not say."""
        waited = 0
        for child in self.children:
            with suppress(OSError, ValueError, IndexError):
                waited += int(Path(f"/proc/{child.pid}/schedstat").read_text().split()[1])
        return waited / 1e9

    def execute(self, step: Step, seconds: float) -> None:
        order = ["exec", step.exercise or "", step.source, seconds]
        for reply in self._replies(order, seconds, while_testing=False):
            if reply == ["done"]:
                return
            raise self._not_understood(while_testing=False)

    def reseed(self, seed: bytes) -> None:
        """Let the next tests draw other inputs."""
        for reply in self._replies(["seed", seed.hex()], GRACE_SECONDS, while_testing=True):
            if reply == ["done"]:
                return
            raise self._not_understood(while_testing=True)

    def test(self, exercise: str, points: float, seconds: float) -> Verdict:
        """The verdict on one exercise; what the judge says is checked, not believed."""
        properties, times = [], []
        for reply in self._replies(["test", exercise, seconds], seconds, while_testing=True):
            match reply:
                case ["property", str(title), bool(passed), str(message), float(took)]:
                    properties.append((_line(title), passed, _line(message)))
                    times.append(took)
                case ["ungraded"]:
                    return Verdict(exercise, 0.0, points, "ungraded", "there is no hidden test")
                case ["graded", float(share), str(message)] if 0.0 <= share <= 1.0:
                    score = round(points * share, 2)
                    told = _line(message)
                    return Verdict(exercise, score, points, "graded", told, 0.0, properties, times)
                case _:
                    raise self._not_understood(while_testing=True)
            if len(properties) > 1000:
                raise self._not_understood(while_testing=True)

    def _replies(self, order: list, seconds: float, while_testing: bool):
        """The judge's messages after an order, until the caller stops; _Lost if that is over."""
        deadline = time.monotonic() + seconds + GRACE_SECONDS
        try:
            self.line.settimeout(GRACE_SECONDS)
            self.line.sendall(json.dumps(order).encode() + b"\n")
            while True:
                reply = self._next_line(deadline)
                if reply[:1] == ["lost"] and len(reply) == 2:
                    raise self._lost(reply[1], while_testing)
                yield reply
        except TimeoutError:
            raise self._lost("timeout", while_testing) from None
        except (channel.Closed, OSError):
            raise self._lost("judge", while_testing) from None
        except ValueError:
            raise self._not_understood(while_testing) from None

    def _next_line(self, deadline: float) -> list:
        while b"\n" not in self.buffer:
            if len(self.buffer) > MAX_LINE:
                raise ValueError
            ready, _, _ = select.select([self.line], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            data = self.line.recv(MAX_LINE)
            if not data:
                raise channel.Closed
            self.buffer += data
        text, _, self.buffer = self.buffer.partition(b"\n")
        reply = json.loads(text)
        if type(reply) is not list:
            raise ValueError
        return reply

    def _not_understood(self, while_testing: bool) -> _Lost:
        return self._lost("answer", while_testing)

    def _lost(self, why: str, while_testing: bool) -> _Lost:
        self.lost = True
        status, message, by_signal = "crash", "{where} ended the Python process", False
        if why == "timeout":
            status, message = "timeout", "{where} took too long"
        elif why == "answer":
            message = "{where} gave an answer that is not data"
        elif why == "memory":
            status, message = "memory", "{where} used too much memory"
        else:
            culprit = self.judge if why == "judge" else self.student
            end = culprit.wait(timeout=2)
            if end is not None and end.reason == "memory":
                status, message = "memory", "{where} used too much memory"
            elif end is not None and end.reason == "cpu":
                status, message = "timeout", "{where} took too long"
            elif why == "judge":
                message = "{where} gave an answer that could not be judged"
            by_signal = end is not None and end.reason == "signal"
        return _Lost(status, message, while_testing, by_signal)


def _line(text: str) -> str:
    """Printable, on one line, of bounded length."""
    text = "".join(c if c.isprintable() else " " for c in text[:2000])
    return " ".join(text.split())[:400]


# -------------------------------------------------------------------------------- in the judge


def preload() -> None:
    """In judge-warm: import all hidden tests, so that a fork has them at once."""
    for path in sorted((Path(__file__).parent / "hidden").glob("[0-9]*.py")):
        importlib.import_module(f"autograder.hidden.{path.stem}")
        IMPORTED[path.stem] = path.read_text()


def run(payload: bytes, fds: list[int]) -> None:
    """Serve the worker's orders on fds[0], asking the student process on fds[1]."""
    settings = json.loads(payload)
    line, sock = (socket.socket(fileno=fd) for fd in fds)
    student = Student(sock, settings["call_seconds"])
    student.files = {
        name: base64.b64decode(data) if isinstance(data, str) else data[0]
        for name, data in settings["files"].items()
    }
    tests = load_hidden(settings["notebook"], settings["hidden"])
    judge = _Judge(student, tests, bytes.fromhex(settings["seed"]), settings["debug"])

    told = bytearray()

    def tell(*reply) -> None:
        nonlocal told
        told += json.dumps(reply).encode() + b"\n"
        if reply[0] != "property":  # they go with what ends them: the worker sleeps until then
            line.sendall(told)
            told = bytearray()

    for text in line.makefile("r", encoding="utf-8"):
        try:
            match json.loads(text):
                case ["exec", exercise, source, seconds]:
                    judge.execute(exercise, source, seconds)
                    tell("done")
                case ["seed", seed]:
                    judge.seed = bytes.fromhex(seed)
                    tell("done")
                case ["test", exercise, seconds]:
                    judge.test(exercise, seconds, tell)
        except TimeoutError:
            tell("lost", "timeout")
        except channel.ChannelError:
            tell("lost", "answer")
        except channel.Closed:
            tell("lost", "student")
        except _OutOfMemory:
            tell("lost", "memory")


class _OutOfMemory(Exception):
    """The student's code met its memory limit and said so."""


class _Judge:
    def __init__(self, student: Student, tests: dict, seed: bytes, debug: bool):
        self.student, self.tests, self.seed, self.debug = student, tests, seed, debug
        self.cell_error = ""

    def execute(self, exercise: str, source: str, seconds: float) -> None:
        self.cell_error = ""
        self.student._begin(derive_seed(self.seed, "cell", exercise), math.inf)
        try:
            self.student._execute(source, seconds)
        except StudentError as error:
            _memory(error)
            self.cell_error = known_error(error.names)

    def test(self, exercise: str, seconds: float, tell) -> None:
        """Run the properties of an exercise; tell the outcome of each, then the share earned."""
        properties = self.tests.get(exercise, [])
        if not properties:
            return tell("ungraded")
        deadline = time.monotonic() + seconds
        earned, failures = 0.0, []
        for item in properties:
            began = time.perf_counter()
            problem = self.problem(item, deadline)
            seconds = time.perf_counter() - began
            tell("property", item.title, problem is None, problem or "", seconds)
            if problem is None:
                earned += item.weight
                continue
            failures.append((item, problem))
            if item.core:
                earned = 0.0
                break
        self.student._settle()
        share = earned / sum(item.weight for item in properties)
        tell("graded", float(share), _summary(failures, len(properties)))

    def problem(self, item: Property, deadline: float) -> str | None:
        """None if the property holds, else why not, in words that may be shown."""
        labels = (item.exercise, item.title)
        try:
            self.student._begin(derive_seed(self.seed, "student", *labels), deadline)
            item.test(self.student, Draw(derive_seed(self.seed, "judge", *labels)))
        except (TimeoutError, channel.ChannelError, channel.Closed):
            raise
        except Fail as failure:
            return str(failure) or "does not hold"
        except Undefined as undefined:
            reason = f": its cell raised {self.cell_error}" if self.cell_error else ""
            return f"`{undefined}` is not defined{reason}"
        except StudentError as error:
            _memory(error)
            if "NotImplementedError" in error.names:
                return NOT_IMPLEMENTED
            detail = f" ({error.text})" if self.debug else ""
            return f"raised {known_error(error.names)}{detail}"
        except Exception:
            # The test stumbled over an answer of an unforeseen form: not the answer asked for.
            if self.debug:
                traceback.print_exc()
                return f"the test itself raised:\n{traceback.format_exc()}"
            return "the answer has an unexpected form"
        return None


NOT_IMPLEMENTED = "not implemented"


def _memory(error: StudentError) -> None:
    allocation = "RuntimeError" in error.names and "can't allocate memory" in error.text
    if "MemoryError" in error.names or allocation:
        raise _OutOfMemory


def _summary(failures: list[tuple[Property, str]], total: int) -> str:
    if not failures:
        return f"all {total} hidden checks pass" if total > 1 else "the hidden check passes"
    if all(problem == NOT_IMPLEMENTED for _, problem in failures):
        return NOT_IMPLEMENTED
    item, problem = failures[0]
    # No hint helps where a name is missing, its own or one that another cell should define.
    shown = item.hint and not problem.startswith(("`", "raised NameError"))
    hint = f" Hint: {item.hint}" if shown else ""
    others = f" ({len(failures) - 1} more)" if len(failures) > 1 else ""
    return f"{item.title}: {problem}.{hint}{others}"


# --------------------------------------------------------------------- for authors of hidden tests


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 if every answer gets full marks."""
    from autograder.sandbox import Limits
    from autograder.selftest import reference_steps
    from autograder.warm import start_warm

    parser = argparse.ArgumentParser(prog="python -m autograder.judge", description=main.__doc__)
    parser.add_argument("notebook", help="for example 01_gqa_moe")
    parser.add_argument("exercise", nargs="?", help="default: all, on the reference solution")
    parser.add_argument("answers", nargs="*", type=Path, help="sources of the solution cell")
    parser.add_argument("--sandbox", default="none", choices=("auto", "bwrap", "none"))
    parser.add_argument("--seed", default="seed", help="other text, other inputs")
    options = parser.parse_args(arguments)

    answers = {str(path): path.read_text() for path in options.answers} or {"reference": None}
    perfect = True
    with (
        start_warm("student", options.sandbox, wait=False) as student_warm,
        start_warm("judge", options.sandbox) as judge_warm,
    ):
        for name, source in answers.items():
            replace = {} if source is None else {options.exercise: source}
            verdicts = judge_notebook(
                options.notebook,
                reference_steps(options.notebook, replace),
                options.seed.encode(),
                student_warm,
                judge_warm,
                Limits(),
                debug=True,
                only=None if options.exercise is None else [options.exercise],
            )
            print(f"== {name}")
            for verdict in verdicts.values():
                print(
                    f"{verdict.exercise}: {verdict.score:g}/{verdict.max_score:g} {verdict.status}"
                    f"  {verdict.seconds:.2f} s  {verdict.message}"
                )
                for title, passed, message in verdict.properties:
                    print(f"   {'pass' if passed else 'FAIL'}  {title}  {message}")
                perfect &= verdict.score == verdict.max_score
    return 0 if perfect else 1


if __name__ == "__main__":
    sys.exit(main())
