"""How surely does the hidden test of sampled text (notebook 06) tell a wrong answer?

    .venv/bin/python benchmarks/sampled_text.py [--times 200]
    .venv/bin/python benchmarks/sampled_text.py --others [--times 200]

It is the slowest hidden test, and the one in which chance has most to say. Here it runs alone, many
times on fresh inputs, on each wrong answer of the bank that fails at it and at no core test before
it, and on the reference as control. (That a right answer fails less than once in a million gradings
is calculated in tests/test_notebook_06.py.)

--others: the other tests of the exercise, on every answer of the bank and on the reference. The two
together are `autograder selftest --repeat` for this exercise, which takes eight hours in one piece.
"""

import argparse
import os
import secrets
import statistics
from concurrent.futures import ThreadPoolExecutor

from machine import machine, write_result
from tqdm import tqdm

from autograder.flakiness import COLUMNS, judge_repeatedly, reference, summary
from autograder.judge import judge_notebook, repeat_tests
from autograder.judging import load_hidden
from autograder.sandbox import Limits
from autograder.selftest import OWN_BANK, columns, read_bank, reference_steps
from autograder.warm import start_warm

NOTEBOOK, EXERCISE = "06_speculative_decoding", "speculative_generate"
ALONE = "\nPROPERTIES[:] = [p for p in PROPERTIES if p.test is sampled_text]\n"
OTHERS = "\nPROPERTIES[:] = [p for p in PROPERTIES if p.test is not sampled_text]\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--others", action="store_true", help="the other tests of the exercise")
    args = parser.parse_args()
    answers, problems = read_bank(OWN_BANK, NOTEBOOK, EXERCISE)
    if problems:
        raise SystemExit(problems[0])
    hidden = (OWN_BANK.parent / "hidden" / f"{NOTEBOOK}.py").read_text()
    where, seed = machine("torch", "transformers"), secrets.token_hex(8)
    print(f"--times {args.times}, seed {seed}", flush=True)
    if args.others:
        table, found = other_tests(answers, hidden + OTHERS, args.times, seed)
        name = "sampled_text_others"
    else:
        table, found = sampled_text_alone(answers, hidden + ALONE, args.times, seed)
        name = "sampled_text"
    print(columns(table))
    print(write_result(name, found, machine=where, seed=seed))


def other_tests(answers, source, times, seed):
    """(rows of a table, what to write): whether any test flips, `times` times on each answer."""
    answers = [reference(NOTEBOOK, EXERCISE), *answers]
    flips, seconds, runs = judge_repeatedly(answers, times, seed, hidden_source=source)
    rows = summary(flips, seconds, runs)
    told = [(f.answer.name, f.check, f.says, f.fewer, f.runs, f.seed) for f in flips]
    tests = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    found = {"answers": len(answers), "times": times, "flips": told, "tests": tests}
    return [COLUMNS[2:], *(row[2:] for row in rows)], found


def sampled_text_alone(answers, source, times, seed):
    """(rows of a table, what to write): how often the test fails each answer that is its own."""
    tests = load_hidden(NOTEBOOK)[EXERCISE]
    title = next(p.title for p in tests if p.test.__name__ == "sampled_text")
    limits = Limits()
    with (
        start_warm("student", limits=limits, wait=False) as student_warm,
        start_warm("judge", limits=limits) as judge_warm,
        ThreadPoolExecutor(os.cpu_count() or 1) as pool,
    ):
        pair = (student_warm, judge_warm, limits)

        def fails_there(answer):
            steps = reference_steps(NOTEBOOK, {EXERCISE: answer.source})
            verdict = judge_notebook(NOTEBOOK, steps, seed.encode(), *pair, only=[EXERCISE])
            return (title, False) in [p[:2] for p in verdict[EXERCISE].properties]

        def repeat(answer):
            steps = reference_steps(NOTEBOOK, {EXERCISE: answer.source})
            seeds = [f"{seed}/{number}".encode() for number in range(times)]
            verdicts = repeat_tests(NOTEBOOK, steps, EXERCISE, seeds, *pair, hidden_source=source)
            verdicts = [v for v in verdicts if v.status == "graded"]
            return [v.score < v.max_score for v in verdicts], [sum(v.times) for v in verdicts]

        def run(what, items):
            return list(tqdm(pool.map(what, items), total=len(items), unit="answer"))

        reference_steps(NOTEBOOK)  # read once, before the threads ask for it together
        wrong = [answer for answer in answers if answer.kind == "wrong"]
        there = [a for a, fails in zip(wrong, run(fails_there, wrong), strict=True) if fails]
        chosen = [reference(NOTEBOOK, EXERCISE), *there]
        results = dict(zip((a.name for a in chosen), run(repeat, chosen), strict=True))

    rows, caught = [("answer", "fails", "of", "median seconds")], {}
    for name, (failed, seconds) in results.items():
        caught[name] = [sum(failed), len(failed)]
        rows.append((name, *map(str, caught[name]), f"{statistics.median(seconds):.2f}"))
    return rows, {"fails": caught}


if __name__ == "__main__":
    main()
