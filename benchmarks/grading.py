"""Seconds per submission: stock nbgrader against this project, same submissions, one run.

    .venv/bin/python benchmarks/grading.py [--submissions 200] [--stock 20] [--whole 6]

The class answers notebook 01: perfect, blank, and answers with one wrong exercise. Stock nbgrader
gets the same notebooks with hidden asserts in the test cells, which compare each answer with
the reference solution on random inputs; that is less than our hidden tests do. It is slow, so it
grades the first of the class only; on these every exercise must be full marks in both or in
neither. It does so twice: the first --whole notebooks as they were handed in, and the first --stock
of them without the demonstrations, half before our runs and half after. The demonstrations take
most of the time of a notebook. Stock nbgrader runs them; we need not, for the cells they show are
the instructor's: so the first figure is what a class costs, the second what the machinery does.
Seconds are given twice: of the whole command, its start included, and after the start, from
the first tenth of the results to the last. The floor is the CPU time of the students' cells and
of the asserts alone, without any machinery.
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

import nbformat
from machine import machine, write_result

from autograder import build

NOTEBOOK = "01_gqa_moe"
AS_HANDED_IN, STRIPPED = "stock nbgrader, as handed in", "stock, without demonstrations"
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


def judged(notebook):
    """The notebook with the cells that we run in grading alone: set-up, answers, tests."""
    notebook.cells = [
        c
        for c in notebook.cells
        if c.cell_type != "code"
        or "nbgrader" in c.metadata
        or "setup" in c.metadata.get("tags", ())
    ]
    return notebook


def stock_source():
    """Our notebook for stock nbgrader, with hidden asserts in the cells."""
    notebook = build.source_notebook(NOTEBOOK)
    reference = "\n\n".join(
        re.sub(r"^ *### (BEGIN|END) SOLUTION\n?", "", source, flags=re.MULTILINE)
        for kind, _, source in build.reference_cells(NOTEBOOK)
        if kind == "solution"
    )
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


def after_start(paths):
    """Seconds a submission between the first tenth of the files written and the last."""
    times = sorted(path.stat().st_mtime for path in paths)
    first = len(times) // 10
    return (times[-1] - times[first]) / (len(times) - 1 - first)


def grade_stock(course: Path, students: list[Path], demonstrations: bool):
    """(seconds, seconds a submission after the start, {(student, exercise): full marks?}) of
    `nbgrader autograde` as it comes, on notebooks with or without their demonstrations."""
    take = (lambda notebook: notebook) if demonstrations else judged
    source = course / "source" / NOTEBOOK / f"{NOTEBOOK}.ipynb"
    source.parent.mkdir(parents=True)
    source.write_text(build.notebook_text(take(stock_source())))
    for student in students:
        path = course / "submitted" / student.name / NOTEBOOK / f"{NOTEBOOK}.ipynb"
        path.parent.mkdir(parents=True)
        handed_in = nbformat.read(student / NOTEBOOK / path.name, as_version=4)
        path.write_text(build.notebook_text(take(handed_in)))
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
    return seconds, after_start(course.glob("autograded/*/*/*.ipynb")), scores


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
    """(seconds, after the start, marks as in grade_stock, seconds per stage) of our `grade`."""
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
    stages = {k: statistics.median(v) for k, v in stages.items()}
    return seconds, after_start(out.glob("results/*/*.json")), marks, stages


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
    parser.add_argument("--submissions", type=int, default=200)
    parser.add_argument("--stock", type=int, default=20, help="how many of them stock grades")
    parser.add_argument("--whole", type=int, default=6, help="how many as they were handed in")
    options = parser.parse_args()
    count, sample = options.submissions, min(options.stock, options.submissions)
    few = min(options.whole, options.submissions)
    where = machine("nbgrader", "nbclient", "ipykernel", "torch")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        submitted = folder / "submitted"
        write_class(submitted, count)
        students = sorted(submitted.iterdir())
        whole_notebooks = grade_stock(folder / "stock0", students[:few], True)
        before = grade_stock(folder / "stock1", students[:sample:2], False)
        ours = {workers: grade_ours(folder, submitted, workers) for workers in (1, 2)}
        after = grade_stock(folder / "stock2", students[1:sample:2], False)
    for stock_marks in (whole_notebooks[2], before[2] | after[2]):
        for workers, (_, _, marks, _) in ours.items():
            if differ := [k for k in stock_marks if marks.get(k) != stock_marks[k]]:
                sys.exit(f"with {workers} workers we and stock nbgrader disagree on {differ}")
    floor = floor_seconds()
    whole = {AS_HANDED_IN: whole_notebooks[0] / few, STRIPPED: (before[0] + after[0]) / sample}
    steady = {AS_HANDED_IN: whole_notebooks[1], STRIPPED: (before[1] + after[1]) / 2}
    for workers, (seconds, each, _, _) in ours.items():
        name = f"ours, {workers} worker{'s' * (workers > 1)}"
        whole[name], steady[name] = seconds / count, each
    ratios = {
        (name, stock): (whole[stock] / whole[name], steady[stock] / steady[name])
        for name in whole
        for stock in (AS_HANDED_IN, STRIPPED)
    }
    print(f"{count} submissions of {NOTEBOOK}; stock nbgrader gave the same full marks to {few} as")
    print(f"they were handed in and to {sample} without demonstrations; stock / this, of both")
    print(f"{'seconds a submission':32}    whole         ratios  after start         ratios")
    for name in whole:
        both = ratios[name, AS_HANDED_IN], ratios[name, STRIPPED]
        told = [" ".join(f"{ratio[when]:6.1f}" for ratio in both) for when in (0, 1)]
        print(f"{name:32} {whole[name]:8.3f} {told[0]:>14} {steady[name]:12.3f} {told[1]:>14}")
    print(f"{'floor (CPU)':32} {floor:8.3f}")
    stages = ours[1][3]
    print("ours, one worker, median seconds a submission:")
    print("  " + ", ".join(f"{stage} {value:.3f}" for stage, value in stages.items()))
    headline = {
        "vs_nbgrader_1_worker": ratios["ours, 1 worker", AS_HANDED_IN][0],
        "vs_nbgrader_2_workers": ratios["ours, 2 workers", AS_HANDED_IN][0],
        "machinery_vs_nbgrader_1_worker": ratios["ours, 1 worker", STRIPPED][0],
        "machinery_vs_nbgrader_2_workers": ratios["ours, 2 workers", STRIPPED][0],
        "seconds_per_submission": whole["ours, 1 worker"],
        "floor_seconds_per_submission": floor,
    }
    path = write_result(
        "grading",
        headline,
        machine=where,
        submissions=count,
        stock_submissions={AS_HANDED_IN: few, STRIPPED: sample},
        start_included=True,
        seconds_per_submission=whole,
        seconds_per_submission_after_start=steady,
        stages=stages,
    )
    print(json.dumps(headline), path)


if __name__ == "__main__":
    main()
