"""Are the hidden tests sure of themselves? `autograder selftest --repeat 200`.

Every hidden test runs many times, each time on fresh inputs, on the reference solution and on
every known wrong and right answer. What it says of an answer must always be the same: a test that
sometimes fails a right one, or sometimes passes a wrong one, makes a grade a matter of luck.
The time of each test is measured on the way.
"""

import csv
import os
import secrets
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from tqdm import tqdm

from autograder.judge import judge_notebook, repeat_tests
from autograder.sandbox import Limits
from autograder.selftest import OWN_BANK, Answer, columns, read_bank, reference_steps
from autograder.warm import start_warm

COLUMNS = ("notebook", "exercise", "check", "answers", "runs", "flips", "median_ms", "slowest_ms")


@dataclass(frozen=True)
class Flip:
    """A hidden test that is of two minds about an answer: in `fewer` of `runs` it says `says`."""

    answer: Answer
    check: str  # the title of the hidden test, or "status"
    says: str
    fewer: int
    runs: int
    seed: str  # one that shows it


def flakiness(
    repeat, bank=None, notebook=None, workers=None, sandbox="auto", seed=None, exercise=None
) -> int:
    """Run each hidden test `repeat` times on each answer; print each flip when it is found, then a
    table, which is written to flakiness.csv in the current folder, too. Returns the exit status: 1
    if anything flips.

    bank: folder of answers, default the project's own. notebook, exercise: these alone, default
    all. seed: text; the same gives the same inputs, default fresh ones."""
    answers, problems = read_bank(OWN_BANK if bank is None else Path(bank), notebook, exercise)
    places = dict.fromkeys((a.notebook, a.exercise) for a in answers)
    answers = [reference(*place) for place in places] + answers
    if problems:
        for problem in problems:
            print(f"autograder selftest: {problem}", file=sys.stderr)
        return 1
    seed = seed or secrets.token_hex(8)
    print(f"{len(answers)} answers, {repeat} times each, --seed {seed}", flush=True)
    flips, times, runs = judge_repeatedly(answers, repeat, seed, workers, sandbox)
    table = summary(flips, times, runs)
    with open("flakiness.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *table])
    print(columns([COLUMNS, *((*row[:2], row[2][:60], *row[3:]) for row in table)]))
    print(f"{len(table)} hidden tests, {len(flips)} flips; see flakiness.csv")
    return 1 if flips else 0


def _tell(flip: Flip) -> None:
    a = flip.answer
    tqdm.write(
        f"flips: {a.notebook}/{a.exercise}/{a.kind}/{a.name}: {flip.check}: "
        f"{flip.says} in {flip.fewer} of {flip.runs} runs, as with seed {flip.seed}"
    )
    sys.stdout.flush()  # a run takes hours, and its output may go to a file


def reference(notebook, exercise) -> Answer:
    """The reference solution of one exercise as an answer."""
    source = next(s.source for s in reference_steps(notebook) if s.exercise == exercise)
    return Answer(notebook, exercise, "reference", "solution", source)


def judge_repeatedly(
    answers, repeat, seed, workers=None, sandbox="auto", limits=None, hidden_source=None
):
    """(flips, times, runs). times: (notebook, exercise, check) -> seconds of each run on answers
    that pass it or fail it; runs: the same -> name of answer -> how many runs. hidden_source: the
    text of hidden tests in place of the notebook's own, for answers to one notebook."""
    # A wrong answer may hang on purpose; no right one needs a call this long.
    limits = limits or replace(Limits(), call_seconds=10)
    flips, times, runs = [], defaultdict(list), defaultdict(Counter)
    with ExitStack() as stack:
        student_warm = stack.enter_context(start_warm("student", sandbox, limits, wait=False))
        judge_warm = stack.enter_context(start_warm("judge", sandbox, limits))
        student_warm.wait_ready()

        def run(answer):
            steps = reference_steps(answer.notebook, {answer.exercise: answer.source})
            # Inputs of its own for each answer: a test that fails everybody, or never ends, in one
            # draw of 1,000 would hardly be seen in the same 200 draws for all.
            own = f"{seed}/{answer.exercise}/{answer.kind}/{answer.name}"
            seeds = [f"{own}/{number}" for number in range(repeat)]
            pair = (student_warm, judge_warm, limits)
            place = (answer.notebook, steps)
            verdicts = repeat_tests(
                *place,
                answer.exercise,
                [s.encode() for s in seeds],
                *pair,
                hidden_source=hidden_source,
            )

            def again(which):
                found = judge_notebook(
                    *place,
                    which.encode(),
                    *pair,
                    only=[answer.exercise],
                    hidden_source=hidden_source,
                )
                return outcomes(found[answer.exercise])

            return answer, verdicts, flips_of(answer, verdicts, seeds, again)

        for notebook in {answer.notebook for answer in answers}:
            reference_steps(notebook)  # read once, before the threads ask for it together
        with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
            pause = 0.1 if sys.stderr.isatty() else 60  # seconds: a file hears once a minute
            how = {"unit": "answer", "mininterval": pause, "maxinterval": pause}
            done = tqdm(pool.map(run, answers), total=len(answers), **how)
            for answer, verdicts, found in done:
                flips += found
                for flip in found:
                    _tell(flip)
                for verdict in verdicts:
                    for (title, _, _), seconds in zip(
                        verdict.properties, verdict.times, strict=True
                    ):
                        place = (answer.notebook, answer.exercise, title)
                        times[place].append(seconds)
                        runs[place][f"{answer.kind}/{answer.name}"] += 1
    return flips, times, runs


def outcomes(verdict) -> dict[str, str]:
    """What was said: "status" and the title of each hidden test that ran -> word."""
    said = {title: "passes" if passed else "fails" for title, passed, _ in verdict.properties}
    return {"status": verdict.status, **said}


def flips_of(answer, verdicts, seeds, again) -> list[Flip]:
    """The hidden tests that do not always say the same of an answer. again(seed) -> outcomes in
    fresh processes: what the runs before left in the process is no flip."""
    said = [outcomes(verdict) for verdict in verdicts]
    found = []
    for check in dict.fromkeys(title for one in said for title in one):
        words = Counter(one[check] for one in said if check in one)
        if len(words) < 2:
            continue
        usual = words.most_common(1)[0][0]
        odd = [s for s, one in zip(seeds, said, strict=False) if one.get(check, usual) != usual]
        most = next(s for s, one in zip(seeds, said, strict=False) if one.get(check) == usual)
        sure = again(most).get(check, usual)
        for which in odd[:3]:
            word = again(which).get(check, sure)
            if word != sure:
                runs = words.total()
                found.append(Flip(answer, check, word, len(odd), runs, which))
                break
    return found


def summary(flips, times, runs) -> list[tuple]:
    """The rows of flakiness.csv, the slowest test first."""
    flipped = Counter((f.answer.notebook, f.answer.exercise, f.check) for f in flips)
    rows = []
    for place, seconds in sorted(times.items(), key=lambda item: -median(item[1])):
        count = (len(runs[place]), len(seconds), flipped[place])
        each = (f"{1000 * median(seconds):.1f}", f"{1000 * max(seconds):.1f}")
        rows.append((*place, *map(str, count), *each))
    return rows
