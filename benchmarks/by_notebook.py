"""Seconds that one submission of each notebook takes to grade, all answers right, one worker.

    .venv/bin/python benchmarks/by_notebook.py [--times 5]

Right answers take longest among the honest ones: every hidden test runs to its end. The notebooks
take turns, after one submission of each that is not counted (the first one waits for the imports).
"""

import argparse
import json
import statistics
import time

from machine import machine, write_result

from autograder import build, grade
from autograder.sandbox import Limits

STUDENTS = 300


def right_answers(notebook: str) -> bytes:
    """A submission with the reference solution in every cell."""
    reference = {n: s for kind, n, s in build.reference_cells(notebook) if kind == "solution"}
    handed_in = build.release_notebook(notebook)
    for cell in handed_in.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        cell.source = reference.get(name, cell.source)
    return build.notebook_text(handed_in).encode()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    where = machine("torch", "transformers", "trl")
    notebooks = build.notebook_ids()
    submissions = {name: right_answers(name) for name in notebooks}
    took: dict[str, list[float]] = {name: [] for name in notebooks}
    try:
        for turn in range(times + 1):
            for name in notebooks:
                source = build.source_notebook(name)
                job = grade.make_job(
                    name, source, submissions[name], b"seed %d" % turn, Limits(),
                    hidden=grade.hidden_tests(name, source),
                )  # fmt: skip
                began = time.perf_counter()
                result = json.loads(grade.grade_submission(job))
                seconds = time.perf_counter() - began
                if any(v["score"] != v["max_score"] for v in result["verdicts"]):
                    raise SystemExit(f"{name}: the reference solution did not get full marks")
                if turn:
                    took[name].append(seconds)
    finally:
        grade.close_warm()
    print(f"{'notebook':28} {'median':>7} {'lowest':>7} {'highest':>8}   seconds a submission")
    medians = {name: statistics.median(values) for name, values in took.items()}
    for name, values in took.items():
        print(f"{name:28} {medians[name]:7.2f} {min(values):7.2f} {max(values):8.2f}")
    hours = STUDENTS * sum(medians.values()) / 3600
    print(f"{STUDENTS} students, all notebooks, one worker: {hours:.1f} hours")
    path = write_result(
        "by_notebook",
        {"seconds_per_student": sum(medians.values())},
        machine=where,
        seconds_per_submission=took,
    )
    print(path)


if __name__ == "__main__":
    main()
