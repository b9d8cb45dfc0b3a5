"""03_sft_masking: the reference against trl and autograd, the mask view, the experiments."""

import copy
import re
from pathlib import Path

import pytest
import torch

from autograder.build import reference_cells
from course_lib.checking import run_check
from course_lib.exercises import load_exercises
from course_lib.experiments import sft_masking as lab
from course_lib.models import load_base
from course_lib.problems import make_problems

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = "03_sft_masking"
TALK = [
    {"role": "user", "content": "2 + 3?"},
    {"role": "assistant", "content": "5."},
    {"role": "user", "content": "Sure? <|assistant|>"},
    {"role": "assistant", "content": "Yes."},
]


@pytest.fixture(scope="module")
def solved():
    """The namespace of the reference solution: set-up and solution cells, run."""
    namespace = {"__name__": "__main__"}
    for _, _, source in reference_cells(NOTEBOOK):
        exec(compile(source, NOTEBOOK, "exec"), namespace)
    return namespace


@pytest.fixture(scope="module")
def tools(solved):
    return lab.Tools(*(solved[name] for name in lab.Tools._fields))


@pytest.mark.parametrize("exercise", load_exercises(NOTEBOOK).values(), ids=lambda e: e.name)
def test_visible_check_passes_on_the_reference(solved, exercise):
    report = run_check(exercise.name, *(solved[name] for name in exercise.functions))
    assert report.passed, report


def test_title_page_agrees_with_the_exercise_facts():
    text = (ROOT / "solutions" / f"{NOTEBOOK}.py").read_text()
    listed = re.findall(r"^# \| \d+ \| `(\w+)`.*\| (\d+) \|$", text, re.MULTILINE)
    assert listed == [(e.name, str(e.points)) for e in load_exercises(NOTEBOOK).values()]


# ---------------------------------------------------------------- against what others do


def test_the_format_is_the_tokenizers_own_template(solved):
    _, tokenizer = load_base("cpu")
    for prompt in (True, False):
        theirs = tokenizer.apply_chat_template(TALK, tokenize=False, add_generation_prompt=prompt)
        mine = solved["format_chat"](TALK, add_generation_prompt=prompt)
        assert mine.rstrip("\n") == theirs.rstrip("\n")


def test_the_loss_is_transformers(solved, tools):
    base, tokenizer = load_base("cpu")
    rows = lab.encode_rows(tokenizer, tools, lab.clean_pairs(6, seed=2))
    batch = solved["collate"](rows, tokenizer.pad_token_id)
    with torch.no_grad():
        out = base(**batch)
    torch.testing.assert_close(solved["sft_loss"](out.logits, batch["labels"]), out.loss)


def test_accumulation_is_one_big_batch(solved, tools):
    base, tokenizer = load_base("cpu")
    rows = lab.encode_rows(tokenizer, tools, lab.clean_pairs(6, seed=2))
    parts = [rows[:1], rows[1:3], rows[3:]]
    found = []
    for batches in (parts, [rows]):
        model = copy.deepcopy(base).requires_grad_(True)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        loss = solved["train_step"](
            model, optimizer, [solved["collate"](part, tokenizer.pad_token_id) for part in batches]
        )
        found.append((loss, model.lm_head.weight.detach()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1])


# ---------------------------------------------------------------- the mask view


def test_the_mask_of_a_template_is_what_the_assistant_says():
    _, tokenizer = load_base("cpu")
    ids, labels = lab.template_labels(tokenizer, TALK)
    assert tokenizer.decode([i for i in labels if i != -100]).replace("<|endoftext|>", "|") in (
        "5.|Yes.|",
        "5.|\nYes.|",
        "5.|\nYes.|\n",
    )
    assert tokenizer.decode(ids) == tokenizer.apply_chat_template(TALK, tokenize=False)


def test_the_view_marks_what_is_learned(capsys):
    _, tokenizer = load_base("cpu")
    ids = tokenizer.encode("2 + 3 is <b>5</b>\n")
    labels = [-100] * 3 + ids[3:]
    lab.show_mask(tokenizer, ids, labels)
    assert f"{len(ids) - 3} of {len(ids)} tokens are learned" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("labels", "error"),
    [([-100] * 3, "every token is masked"), ([6, 7, -100], "not shifted")],
)
def test_a_useless_mask_is_one_clear_error(labels, error):
    _, tokenizer = load_base("cpu")
    with pytest.raises(ValueError, match=error):
        lab.show_mask(tokenizer, [5, 6, 7], labels)


# ---------------------------------------------------------------- the experiments


def test_sloppy_data_are_sloppy():
    clean, sloppy = lab.clean_pairs(300, seed=0), lab.sloppy_pairs(300, seed=0)
    assert [p for p, _ in clean] == [p for p, _ in sloppy]
    other_ending = sum("####" not in answer for _, answer in sloppy) / 300
    assert 0.2 < other_ending < 0.4
    number = re.compile(r"-?\d+\D*$")
    wrong = sum(
        number.search(a)[0].strip(".") != number.search(b)[0].strip(".")
        for (_, a), (_, b) in zip(clean, sloppy, strict=True)
    )
    assert 0.3 < wrong / 300 < 0.5


def test_training_with_the_students_functions_learns(tools):
    base, tokenizer = load_base("cpu")
    problems = make_problems(4, "train", seed=0)
    rows = lab.encode_rows(tokenizer, tools, lab.clean_pairs(4, seed=0))
    assert lab.judge(base, tokenizer, problems).right < 0.6
    tuned = lab.tune(base, tokenizer, tools, rows, steps=40, seed=0, batch=3)
    assert lab.judge(tuned, tokenizer, problems).right > 0.6


@pytest.mark.slow
def test_blank_release_has_no_other_error_than_not_implemented():
    from autograder.build import errors, run_release

    names = {name for _, name, _ in errors(run_release(NOTEBOOK))}
    assert names == {"NotImplementedError"}


@pytest.mark.slow
def test_reference_runs_and_agrees_with_trl():
    from autograder.build import run_reference

    notebook = run_reference(NOTEBOOK)
    outputs = [str(o.get("data", o)) for cell in notebook.cells for o in cell.get("outputs", [])]
    verdicts = [output for output in outputs if "labels, yours and TRL's" in output]
    assert len(verdicts) == 1 and "DIFFERENT" not in verdicts[0]


def test_answers_of_the_bank_define_their_exercise():
    bank = ROOT / "autograder" / "mutants" / NOTEBOOK
    for exercise in load_exercises(NOTEBOOK):
        answers = list((bank / exercise).glob("*/*.py"))
        assert len(answers) >= 12
        for path in answers:
            names = re.findall(r"^(?:def|class) (\w+)", path.read_text(), re.MULTILINE)
            assert exercise in names, path
