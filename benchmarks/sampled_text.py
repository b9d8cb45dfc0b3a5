"""How surely does the hidden test of sampled text (notebook 06) tell a wrong answer?

    .venv/bin/python benchmarks/sampled_text.py [--times 200]

It is the slowest hidden test, and the one in which chance has most to say. Here it runs alone, many
times on fresh inputs, on each wrong answer of the bank that fails at it and at no core test before
it, and on the reference as control. (That a right answer fails less than once in a million gradings
is calculated in tests/test_notebook_06.py.)
"""

import argparse
import os
import secrets
import statistics
from concurrent.futures import ThreadPoolExecutor

from machine import machine, write_result
from tqdm import tqdm

from autograder.flakiness import reference
from autograder.judge import judge_notebook, repeat_tests
from autograder.judging import load_hidden
from autograder.sandbox import Limits
from autograder.selftest import OWN_BANK, columns, read_bank, reference_steps
from autograder.warm import start_warm

NOTEBOOK, EXERCISE = "06_speculative_decoding", "speculative_generate"
ALONE = "\nPROPERTIES[:] = [p for p in PROPERTIES if p.test is sampled_text]\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=200)
    times = parser.parse_args().times
    where, seed = machine("torch", "transformers"), secrets.token_hex(8)
    tests = load_hidden(NOTEBOOK)[EXERCISE]
    title = next(p.title for p in tests if p.test.__name__ == "sampled_text")
    source = (OWN_BANK.parent / "hidden" / f"{NOTEBOOK}.py").read_text() + ALONE
    answers, problems = read_bank(OWN_BANK, NOTEBOOK, EXERCISE)
    if problems:
        raise SystemExit(problems[0])
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
    print(f"--times {times}, seed {seed}\n{columns(rows)}")
    print(write_result("sampled_text", {"fails": caught}, machine=where, seed=seed))


if __name__ == "__main__":
    main()
