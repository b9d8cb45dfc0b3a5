"""A sample class, good, bad and hostile, graded from beginning to end: `autograder demo`."""

import copy
import json
import os
import random
import time
from pathlib import Path

NOTEBOOKS = (
    "01_gqa_moe",
    "02_lora_parameters",
    "03_sft_masking",
    "04_gsm8k_lora",
    "05_star",
    "06_speculative_decoding",
)

# Warnings, logging and progress bars in a right answer: stock nbgrader gives zero for these.
NOISE = """

import functools, logging, sys, warnings
from tqdm import tqdm

def _noisy(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        warnings.warn("this is only a warning")
        logging.getLogger().error("and this only a log line")
        for _ in tqdm(range(3), file=sys.stderr):
            pass
        return function(*args, **kwargs)
    return wrapper

{name} = _noisy({name})
"""
ENDLESS = """
while True:
    pass
"""
KILLER = """
import os
os._exit(0)
"""
# What gives full marks in stock nbgrader: tests blanked or stripped of asserts, objects equal to
# everything, comparisons patched, the gradebook edited, a score printed where a score is read.
FORGERY = """
import ast, builtins, glob, sqlite3, sys, warnings
from IPython import get_ipython

shell = get_ipython()
if shell is not None:
    def blank(lines):
        return [] if "hidden" in "".join(lines) else lines
    shell.input_transformers_cleanup.append(blank)
    class NoAsserts(ast.NodeTransformer):
        def visit_Assert(self, node):
            return ast.copy_location(ast.Pass(), node)
    shell.ast_transformers.append(NoAsserts())
    if hasattr(shell, "kernel"):
        shell.kernel.do_execute = lambda *args, **kwargs: {{"status": "ok"}}
torch.allclose = torch.equal = lambda *args, **kwargs: True
torch.testing.assert_close = lambda *args, **kwargs: None
builtins.hidden = check = lambda *args, **kwargs: {points}
for path in glob.glob("/*/gradebook.db") + glob.glob("../*/gradebook.db"):
    with sqlite3.connect(path) as gradebook:
        gradebook.execute("UPDATE grade SET auto_score = 999, manual_score = 999")

class Equal:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __getattr__(self, name): return self
    def __call__(self, *args, **kwargs): return self
    def __len__(self): return 1
    def __iter__(self): return iter([self])
    def __float__(self): return {points}.0
    __hash__ = None

{name} = Equal()
{points}
"""


def demo(out, workers=None, sandbox="auto", say=print):
    """Build, write the class to `out`/submitted, grade it into `out`, report. Exit status 0."""
    from autograder import grade, report
    from autograder.build import build
    from autograder.sandbox import Limits

    began = time.perf_counter()
    stale = build()
    say(f"built {', '.join(stale)}" if stale else "built: lectures/ was up to date")
    students = write_class(Path(out) / "submitted")
    say(f"wrote a class of {len(students)} to {Path(out) / 'submitted'}")
    # The class has an endless loop; a third of the usual patience shows as much.
    limits = Limits(cell_seconds=10, call_seconds=10)
    results, interrupted = grade.grade(
        Path(out) / "submitted",
        out,
        workers=workers,
        sandbox=sandbox,
        limits=limits,
        say=say,
        notes=False,
    )
    if interrupted:
        return 130
    say("repaired or refused:")
    for result in sorted(results, key=lambda r: (r["student"], r["assignment"])):
        for line in grade.report_lines(result):
            say(f"  {line}")
    say(f"report: {report.write(out)}")
    say(f"demo: {time.perf_counter() - began:.0f} s")
    return 0


def write_class(folder, ids=NOTEBOOKS):
    """Write the submissions of the sample class; returns the students' folder names.

    Only files of its own names are written, so a folder with other submissions is not harmed.
    """
    from autograder.build import release, source_notebook

    blanks = release(ids)
    for notebook_id in ids:
        blank = blanks[notebook_id]
        solved = {
            c.metadata.nbgrader.grade_id: c.source
            for c in source_notebook(notebook_id).cells
            if c.cell_type == "code" and c.metadata.get("nbgrader", {}).get("solution")
        }
        for student, data in sample_answers(blank, solved, mistakes(notebook_id)).items():
            _write(folder, student, notebook_id, data)
    link = Path(folder, "oscar_links", ids[-1])
    path = link / f"{ids[-1]}.ipynb"
    path.unlink()
    path.symlink_to(Path("..", "..", "ada_perfect", ids[-1], path.name))
    missing = Path(folder, "pia_handed_in_one", ids[-1], f"{ids[-1]}.ipynb")
    missing.unlink()
    missing.parent.rmdir()
    return sorted(os.listdir(folder))


def mistakes(notebook_id):
    """Exercise -> two sources of wrong answers, out of those that test the hidden tests."""
    from autograder.selftest import OWN_BANK

    bank = OWN_BANK / notebook_id
    wrong = {}
    for exercise in sorted(path.name for path in bank.iterdir()):
        files = sorted((bank / exercise / "wrong").glob("*.py"))
        wrong[exercise] = [file.read_text(encoding="utf-8") for file in (files[0], files[-1])]
    return wrong


def sample_answers(blank, solved, wrong):
    """Student -> bytes of the notebook handed in. blank: the released notebook; solved: exercise ->
    source of the reference solution; wrong: exercise -> two sources of wrong answers."""
    names = list(solved)
    first, middle, last = names[0], names[len(names) // 2], names[-1]
    functions = [n for n in names if f"def {n}(" in solved[n]]

    def answers(**changed):
        return _dump(_answered(blank, {**solved, **changed}))

    def mistaken(which):
        # Every second exercise is wrong: one student misreads the even, the other the odd ones.
        return answers(**{name: wrong[name][which] for name in names[which::2]})

    half = _dump(_answered(blank, {name: solved[name] for name in names[: len(names) // 2]}))
    forged = {name: FORGERY.format(name=name, points=20) for name in names}
    noisy = {name: solved[name] + NOISE.format(name=name) for name in functions[:2]}
    return {
        "ada_perfect": answers(),
        "ben_blank": _dump(blank),
        "chloe_half_done": half,
        "dmitri_misread": mistaken(0),
        "emma_miscounted": mistaken(1),
        "farid_noisy": answers(**noisy),
        "grace_colab": _dump(colab(_answered(blank, solved))),
        "hugo_endless": answers(**{middle: solved[middle] + ENDLESS}),
        "iris_kills_kernel": answers(**{first: KILLER}),
        "jack_forges": _dump(_forged(_answered(blank, forged))),
        "nora_broken_file": answers()[:2000],
        "oscar_links": answers(),
        "pia_handed_in_one": answers(**{last: "raise ValueError('later')"}),
        "Łucja O'Neil-Šimić": answers(),
        "=HYPERLINK(0)": half,
    }


def colab(notebook):
    """A notebook after a life on Colab: its keys, nbgrader's metadata lost, a cell split in two and
    copied, an answer moved to the end, and no cell ids."""
    draw = random.Random(0)
    notebook = copy.deepcopy(notebook)
    notebook.metadata.colab = {"provenance": [], "toc_visible": True}
    notebook.nbformat_minor = 0
    cells = []
    for cell in notebook.cells:
        cell.pop("id", None)
        cell.metadata.id = "".join(draw.choices("abcdefghijklmnopqrstuvwxyzABCDEF0123456789", k=12))
        if cell.cell_type == "code":
            cell.metadata.colab = {"base_uri": "https://localhost:8080/"}
            cell.metadata.executionInfo = {"status": "ok", "user": {"displayName": "Grace"}}
        nbgrader = cell.metadata.pop("nbgrader", {})
        # Two lines set apart as the student looked at something, then the rest.
        if nbgrader.get("solution") and not any("split" in c.metadata for c in cells):
            extra = copy.deepcopy(cell)
            extra.source, extra.metadata.split = "# my notes\nprint(torch.__version__)", True
            cells.append(extra)
        cells.append(cell)
    answers = [c for c in cells if c.source.startswith("# exercise: ")]
    cells.remove(answers[-1])
    cells.append(answers[-1])
    notebook.cells = cells
    return notebook


def _answered(blank, answers):
    """The released notebook with these solution cells filled in; the anchor comment stays first."""
    notebook = copy.deepcopy(blank)
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if cell.cell_type == "code" and name in answers:
            lines = [x for x in answers[name].strip("\n").split("\n") if "### " not in x]
            anchor = f"# exercise: {name}"
            cell.source = "\n".join(lines if lines[0] == anchor else [anchor, *lines])
    return notebook


def _forged(notebook):
    """Test cells that are skipped, emptied, worth more, and show the outputs of full marks."""
    for cell in notebook.cells:
        nbgrader = cell.metadata.get("nbgrader", {})
        if nbgrader.get("grade") and cell.cell_type == "code":
            cell.metadata.tags = ["skip-execution", "long"]
            cell.source = "20"
            nbgrader["points"] = 1000
            data = {"text/plain": "20"}
            cell.outputs = [
                {
                    "output_type": "execute_result",
                    "data": data,
                    "metadata": {},
                    "execution_count": 1,
                }
            ]
    return notebook


def _dump(notebook):
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()


def _write(folder, student, notebook_id, data):
    path = Path(folder, student, notebook_id, f"{notebook_id}.ipynb")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # not through a link that an earlier run made
    path.write_bytes(data)
