"""02_lora_parameters: the reference solutions against peft and numpy, texts against the facts."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from autograder.build import reference_cells
from course_lib.checking import run_check
from course_lib.configs import REAL_CONFIGS, linear_shapes
from course_lib.exercises import load_exercises
from course_lib.experiments.lora_parameters import accuracy, encode, meta_model, sums, train
from course_lib.models import load_base

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = "02_lora_parameters"
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
DENSE = [name for name, config in REAL_CONFIGS.items() if config.n_experts == 1]


@pytest.fixture(scope="module")
def solved():
    """The namespace of the reference solution: set-up and solution cells, run."""
    namespace = {"__name__": "__main__"}
    for _, _, source in reference_cells(NOTEBOOK):
        exec(compile(source, NOTEBOOK, "exec"), namespace)
    return namespace


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("exercise", load_exercises(NOTEBOOK).values(), ids=lambda e: e.name)
def test_visible_check_passes_on_the_reference(solved, exercise):
    report = run_check(exercise.name, *(solved[name] for name in exercise.functions))
    assert report.passed, report


def test_title_page_agrees_with_the_exercise_facts():
    text = (ROOT / "solutions" / f"{NOTEBOOK}.py").read_text()
    listed = re.findall(r"^# \| \d+ \| `(\w+)`.*\| (\d+) \|$", text, re.MULTILINE)
    assert listed == [(e.name, str(e.points)) for e in load_exercises(NOTEBOOK).values()]


# ---------------------------------------------------------------- against peft


@pytest.mark.parametrize("r", [4, 16, 256])
@pytest.mark.parametrize("model", DENSE)
def test_counts_are_pefts(solved, model, r):
    from peft import LoraConfig, get_peft_model

    config = REAL_CONFIGS[model]
    for targets in (ATTENTION, [*ATTENTION, "gate_proj", "up_proj", "down_proj"]):
        options = LoraConfig(r=r, target_modules=targets, task_type="CAUSAL_LM")
        theirs = get_peft_model(meta_model(config), options).get_nb_trainable_parameters()[0]
        assert solved["lora_param_count"](linear_shapes(config), r, targets) == theirs


def test_the_lectures_number_belongs_to_another_model(solved):
    count, shapes = solved["lora_param_count"], linear_shapes
    assert count(shapes(REAL_CONFIGS["Qwen2.5-Math-1.5B"]), 16, ATTENTION) == 4_358_144
    assert count(shapes(REAL_CONFIGS["Llama-3-8B"]), 4, ATTENTION) == 3_407_872
    assert count(shapes(REAL_CONFIGS["Llama-3-8B"]), 8, ["q_proj", "v_proj"]) == 3_407_872
    assert count(shapes(REAL_CONFIGS["Llama-2-7B"]), 16, ATTENTION) == 16_777_216


@pytest.mark.parametrize("bias", [True, False])
@torch.no_grad()
def test_layer_and_merge_are_pefts(solved, bias):
    from peft import LoraConfig
    from peft.tuners.lora import Linear

    base = nn.Linear(12, 20, bias=bias)
    config = LoraConfig(r=3, lora_alpha=7)
    theirs = Linear(copy.deepcopy(base), "default", config=config, r=3, lora_alpha=7)
    mine = solved["LoRALinear"](base, 3, 7)
    mine.lora_B.normal_()
    theirs.lora_A["default"].weight.copy_(mine.lora_A)
    theirs.lora_B["default"].weight.copy_(mine.lora_B)
    x = torch.randn(2, 5, 12)
    torch.testing.assert_close(mine(x), theirs(x))
    assert not torch.allclose(mine(x), base(x), rtol=1e-2)
    theirs.merge()
    merged = solved["merged_linear"](mine)
    torch.testing.assert_close(merged.weight, theirs.base_layer.weight)
    torch.testing.assert_close(merged(x), mine(x))


@torch.no_grad()
def test_an_injected_model_is_pefts(solved):
    from peft import LoraConfig, get_peft_model
    from peft.utils import get_peft_model_state_dict

    base, _ = load_base("cpu")
    targets = ["q_proj", "down_proj"]
    mine = solved["inject_lora"](copy.deepcopy(base), targets, 4, 12).eval()
    options = LoraConfig(r=4, lora_alpha=12, target_modules=targets, task_type="CAUSAL_LM")
    theirs = get_peft_model(copy.deepcopy(base), options).eval()
    state = solved["adapter_state_dict"](mine)
    state = {name: 0.05 * torch.randn_like(value) for name, value in state.items()}
    solved["load_adapter"](mine, state)
    stored = get_peft_model_state_dict(theirs)
    assert len(stored) == len(state)
    for name, module in theirs.base_model.model.named_modules():
        if name.endswith(tuple(targets)):
            module.lora_A["default"].weight.copy_(state[f"{name}.lora_A"])
            module.lora_B["default"].weight.copy_(state[f"{name}.lora_B"])
    ids = torch.arange(3, 40)[None]
    want = theirs(input_ids=ids).logits
    torch.testing.assert_close(mine(input_ids=ids).logits, want)
    assert not torch.allclose(base(input_ids=ids).logits, want, rtol=1e-2)


# ---------------------------------------------------------------- against the formulas


def test_memory_of_llama_2_7b(solved):
    found = solved["finetune_memory"](6_738_415_616, 16_777_216)
    assert found == {
        "weights": 13_476_831_232,
        "gradients": 67_108_864,
        "optimizer": 134_217_728,
        "total": 13_678_157_824,
    }


@pytest.mark.parametrize("energy", [0.3, 0.9, 0.99])
@pytest.mark.parametrize("shape", [(9, 9), (5, 12), (12, 5)])
def test_effective_rank_is_the_best_approximations(solved, shape, energy):
    delta = torch.randn(shape, dtype=torch.float64)
    u, s, v = np.linalg.svd(delta.numpy(), full_matrices=False)
    for r in range(len(s) + 1):  # the slow way: how much is lost when r directions are kept
        lost = np.linalg.norm(delta.numpy() - (u[:, :r] * s[:r]) @ v[:r]) ** 2
        if lost <= (1 - energy) * np.linalg.norm(delta.numpy()) ** 2:
            break
    assert solved["effective_rank"](delta, energy) == r


# ---------------------------------------------------------------- the experiments


def test_training_learns_and_gives_the_threads_back():
    base, tokenizer = load_base("cpu")
    drawn = sums(300, 0)
    assert len(set(drawn)) == 300
    rows = encode(tokenizer, [(f"{a}+{b}:", f"{a + b}\n") for a, b in drawn])
    model, threads = copy.deepcopy(base).requires_grad_(True), torch.get_num_threads()
    before = accuracy(model, rows)
    took = train(model, rows, 2e-3, steps=25, seed=0)
    assert accuracy(model, rows) > before + 0.1
    assert torch.get_num_threads() == threads
    # Gradients and the two moments of Adam, float32.
    assert took.state_bytes == 12 * took.n_trainable == 12 * base.num_parameters()


@pytest.mark.slow
def test_blank_release_has_no_other_error_than_not_implemented():
    from autograder.build import errors, run_release

    names = {name for _, name, _ in errors(run_release(NOTEBOOK))}
    assert names == {"NotImplementedError"}


@pytest.mark.slow
def test_reference_runs_and_agrees_with_peft():
    from autograder.build import run_reference

    notebook = run_reference(NOTEBOOK)
    outputs = [str(o.get("data", o)) for cell in notebook.cells for o in cell.get("outputs", [])]
    verdicts = [output for output in outputs if "yours against peft" in output]
    assert len(verdicts) == 1 and "DIFFERENT" not in verdicts[0]


def test_answers_of_the_bank_define_their_exercise():
    bank = ROOT / "autograder" / "mutants" / NOTEBOOK
    for exercise in load_exercises(NOTEBOOK):
        answers = list((bank / exercise).glob("*/*.py"))
        assert len(answers) >= 12
        for path in answers:
            names = re.findall(r"^(?:def|class) (\w+)", path.read_text(), re.MULTILINE)
            assert exercise in names, path
