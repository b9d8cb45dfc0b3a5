"""Seconds per submission: stock nbgrader against this project, same submissions, one run.

    .venv/bin/python benchmarks/grading.py [--submissions 12]

The class answers notebook 01: perfect, blank, and answers with one wrong exercise. Stock nbgrader
gets the same notebooks with hidden asserts in the test cells, which compare each answer with
the reference solution on random inputs; that is less than our hidden tests do. Both grade the same
submissions in turn, and every exercise must be full marks in both or in neither. Demonstration
cells, which we skip, are left out for both. The floor is the
CPU time of the students' cells and of the judge's tests alone, without any machinery.
"""

import argparse
import copy
import csv
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import machine, write_result

from autograder import build

NOTEBOOK = "01_gqa_moe"
# Wrong in a way that the first assert of any teacher finds.
WRONG = {
    "repeat_kv": "def repeat_kv(x, n_rep):\n    return x.repeat(1, n_rep, 1, 1)",
    "kv_cache_bytes": "def kv_cache_bytes(*sizes):\n    return math.prod(sizes)",
    "expected_experts": "def expected_experts(n_experts, k, n_tokens):\n    return float(k)",
}
# What a careful teacher would write into the cells; R holds the reference solutions.
ASSERTS = {
    "repeat_kv": """
x = torch.randn(2, 3, 5, 4)
assert torch.equal(repeat_kv(x, 4), R["repeat_kv"](x, 4))
""",
    "gqa_attention": """
q, k, v = torch.randn(2, 6, 3, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
for causal in (True, False):
    want = R["gqa_attention"](q, k, v, causal)
    assert torch.allclose(gqa_attention(q, k, v, causal), want, atol=1e-5)
""",
    "kv_cache_bytes": """
assert kv_cache_bytes(3, 4, 5, 6, 7, 1) == R["kv_cache_bytes"](3, 4, 5, 6, 7, 1)
""",
    "route": """
x = torch.randn(9, 6)
for got, want in zip(route(x, 2), R["route"](x, 2)):
    assert torch.allclose(got.sort().values.float(), want.sort().values.float(), atol=1e-5)
""",
    "SparseMoE": """
layer, want = SparseMoE(8, 12, 4, 2), R["SparseMoE"](8, 12, 4, 2)
want.load_state_dict(layer.state_dict())
x = torch.randn(2, 5, 8)
assert torch.allclose(layer(x), want(x), atol=1e-5)
""",
    "moe_param_counts": """
config = ModelConfig(64, 3, 4, 2, 16, 96, 100, 4, 2)
assert moe_param_counts(config) == R["moe_param_counts"](config)
""",
    "expected_experts": """
assert abs(expected_experts(8, 2, 3) - R["expected_experts"](8, 2, 3)) < 1e-6
""",
    "load_balancing_loss": """
x = torch.randn(9, 6)
want = R["load_balancing_loss"](x, 2)
assert torch.allclose(load_balancing_loss(x, 2), want, atol=1e-5)
""",
}


def judged(cells):
    """The cells that we run in grading: set-up, answers, tests. Stock nbgrader would run the
    demonstrations too, which take most of the time, so it gets the notebook without them."""
    return [
        c
        for c in cells
        if c.cell_type != "code"
        or "nbgrader" in c.metadata
        or "setup" in c.metadata.get("tags", ())
    ]


def stock_source():
    """Our notebook for stock nbgrader: hidden asserts in the cells, slow cells left out."""
    notebook = build.source_notebook(NOTEBOOK)
    reference = "\n\n".join(
        re.sub(r"^ *### (BEGIN|END) SOLUTION\n?", "", source, flags=re.MULTILINE)
        for kind, _, source in build.reference_cells(NOTEBOOK)
        if kind == "solution"
    )
    notebook.cells = judged(notebook.cells)
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "").removeprefix("test_")
        if f'hidden("{name}")' in cell.source:
            tests = f"R = dict(globals())\nexec({reference!r}, R)\n{ASSERTS[name]}"
            cell.source = cell.source.replace(f'hidden("{name}")', tests)
    return notebook


def write_class(folder: Path, count: int):
    """`count` submissions in nbgrader's layout: perfect, blank, and one wrong exercise each."""
    reference = {name: s for kind, name, s in build.reference_cells(NOTEBOOK) if kind == "solution"}
    release = build.release_notebook(NOTEBOOK)
    release.cells = judged(release.cells)
    kinds = ["perfect", "blank", *WRONG]
    for number in range(count):
        kind = kinds[number % len(kinds)]
        notebook = copy.deepcopy(release)
        for cell in notebook.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name == kind:
                cell.source = f"# exercise: {name}\n{WRONG[name]}"
            elif name in reference and kind != "blank":
                cell.source = reference[name]
        path = folder / f"s{number:03d}_{kind}" / NOTEBOOK / f"{NOTEBOOK}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(build.notebook_text(notebook))


def grade_stock(folder: Path, submitted: Path):
    """(seconds, {(student, exercise): full marks?}) of `nbgrader autograde` as it comes."""
    course = folder / "stock"
    source = course / "source" / NOTEBOOK / f"{NOTEBOOK}.ipynb"
    source.parent.mkdir(parents=True)
    source.write_text(build.notebook_text(stock_source()))
    (course / "submitted").symlink_to(submitted)
    options = ["--ClearSolutions.code_stub={'python': 'raise NotImplementedError'}"]
    nbgrader(course, "generate_assignment", NOTEBOOK, *options)
    began = time.perf_counter()
    nbgrader(course, "autograde", NOTEBOOK)
    seconds = time.perf_counter() - began
    from nbgrader.api import Gradebook

    scores = {}
    with Gradebook(f"sqlite:///{course}/gradebook.db") as book:
        for submission in book.assignment_submissions(NOTEBOOK):
            for grade in submission.notebooks[0].grades:
                name = grade.cell.name.removeprefix("test_")
                scores[submission.student.id, name] = grade.auto_score == grade.max_score
    return seconds, scores


def nbgrader(course, *arguments):
    beside = os.path.dirname(sys.executable)
    environment = {**os.environ, "PATH": f"{beside}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"nbgrader {arguments[0]} failed:\n{done.stderr[-2000:]}")


def grade_ours(folder: Path, submitted: Path, workers: int):
    """(seconds, marks as in grade_stock, seconds per stage) of `autograder grade`."""
    out = folder / f"ours{workers}"
    command = ["grade", str(submitted), "--out", str(out), "--workers", str(workers)]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "autograder", *command], capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"autograder grade failed:\n{done.stderr[-2000:]}")
    with open(out / "grades.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    marks = {(r["student"], r["exercise"]): r["score"] == r["max_score"] for r in rows}
    from autograder import record

    stages: dict[str, list[float]] = {}
    for result in record.read_results(out):
        for stage, value in result["seconds"].items():
            stages.setdefault(stage, []).append(value)
    return seconds, marks, {k: statistics.median(v) for k, v in stages.items()}


def floor_seconds():
    """CPU seconds of one perfect submission: its judged cells, and the asserts, in one process."""
    cells = build.reference_cells(NOTEBOOK)
    space: dict = {}
    for kind, _, source in cells:
        if kind == "setup":
            exec(source, space)
    began = time.process_time()
    for kind, _, source in cells:
        if kind == "solution":
            exec(source, space)
    space["R"] = space
    for source in ASSERTS.values():
        exec(source, space)
    return time.process_time() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--submissions", type=int, default=10)
    count = parser.parse_args().submissions
    where = machine("nbgrader", "nbclient", "ipykernel", "torch")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        submitted = folder / "submitted"
        write_class(submitted, count)
        runs = {}
        for workers in (1, 2):
            runs[f"ours, {workers} worker{'s' * (workers > 1)}"] = grade_ours(
                folder, submitted, workers
            )
        runs["stock nbgrader"] = (*grade_stock(folder, submitted), {})
    stock_time, stock_marks, _ = runs["stock nbgrader"]
    for name, (_, marks, _) in runs.items():
        if marks != stock_marks:
            differ = [k for k in stock_marks if marks.get(k) != stock_marks[k]]
            sys.exit(f"{name} and stock nbgrader disagree on {differ}")
    floor = floor_seconds()
    print(f"{count} submissions of {NOTEBOOK}, same full marks in all three")
    print(f"{'':18} {'s/submission':>13} {'stock / this':>13}")
    for name, (seconds, _, _) in runs.items():
        print(f"{name:18} {seconds / count:13.2f} {stock_time / seconds:13.1f}")
    print(f"{'floor (CPU)':18} {floor:13.3f}")
    stages = runs["ours, 1 worker"][2]
    print("ours, one worker, median seconds a submission:")
    print("  " + ", ".join(f"{stage} {value:.2f}" for stage, value in stages.items()))
    headline = {
        "vs_nbgrader_1_worker": stock_time / runs["ours, 1 worker"][0],
        "vs_nbgrader_2_workers": stock_time / runs["ours, 2 workers"][0],
        "seconds_per_submission": runs["ours, 1 worker"][0] / count,
        "floor_seconds_per_submission": floor,
    }
    seconds = {name: run[0] for name, run in runs.items()}
    path = write_result(
        "grading", headline, machine=where, submissions=count, seconds=seconds, stages=stages
    )
    print(json.dumps(headline), path)


if __name__ == "__main__":
    main()
