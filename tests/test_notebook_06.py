"""06_speculative_decoding: the reference against the target's own distribution and transformers."""

import hashlib
import importlib
import json
import math
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache

from autograder.build import reference_cells
from autograder.judging import Draw
from course_lib.checking import run_check
from course_lib.exercises import load_exercises
from course_lib.experiments import speculative_decoding as lab
from course_lib.models import PAIR, TINY, load_pair

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = "06_speculative_decoding"


@pytest.fixture(scope="module")
def solved():
    """The namespace of the reference solution: set-up and solution cells, run."""
    namespace = {"__name__": "__main__"}
    for _, _, source in reference_cells(NOTEBOOK):
        exec(compile(source, NOTEBOOK, "exec"), namespace)
    return namespace


@pytest.fixture(scope="module")
def pair():
    return load_pair()


@pytest.mark.parametrize("exercise", load_exercises(NOTEBOOK).values(), ids=lambda e: e.name)
def test_visible_check_passes_on_the_reference(solved, exercise):
    report = run_check(exercise.name, *(solved[name] for name in exercise.functions))
    assert report.passed, report


def test_title_page_agrees_with_the_exercise_facts():
    text = (ROOT / "solutions" / f"{NOTEBOOK}.py").read_text()
    listed = re.findall(r"^# \| \d+ \| `(\w+)`.*\| (\d+) \|$", text, re.MULTILINE)
    assert listed == [(e.name, str(e.points)) for e in load_exercises(NOTEBOOK).values()]


# ---------------------------------------------------------------- the rule


@settings(deadline=None)
@given(st.integers(2, 7), st.integers(0, 10_000))
def test_the_rule_gives_the_targets_distribution(solved, size, seed):
    generator = torch.Generator().manual_seed(seed)
    p, q = torch.randn(2, size, generator=generator, dtype=torch.float64).mul(3).softmax(-1)
    accept = torch.tensor([solved["acceptance_probability"](p, q, x) for x in range(size)])
    rejected = 1 - float((q * accept).sum())
    out = q * accept + rejected * solved["residual_distribution"](p, q)
    torch.testing.assert_close(out, p)


def test_the_loop_gives_the_targets_distribution(solved):
    found = lab.sequence_test(solved["speculative_generate"], lab.toy_pair(), runs=600, seed=3)
    assert found["p"] > 1e-4
    assert found["distance"] < 1.5 * found["noise"]


def test_the_sequence_test_catches_a_loop_that_draws_from_the_draft(solved):
    def of_the_draft(target, draft, *rest):
        return solved["speculative_generate"](draft, draft, *rest)

    assert lab.sequence_test(of_the_draft, lab.toy_pair(), runs=600, seed=3)["p"] < 1e-6


@pytest.mark.parametrize("k", [1, 4])
def test_greedy_is_the_targets_and_transformers(solved, pair, k):
    target, draft, tokenizer = pair
    ids = tokenizer(lab.prompts(1, seed=11)[0], return_tensors="pt").input_ids
    got = solved["speculative_generate"](target, draft, ids, 48, k, 0.0, None, torch.Generator())
    assert torch.equal(got, lab.plain_generate(target, ids, 48))
    assert torch.equal(got, lab.library_generate(target, ids, 48))
    assert torch.equal(got, lab.library_generate(target, ids, 48, draft=draft))


def test_it_calls_the_target_less_often(solved, pair):
    target, draft, tokenizer = pair
    ids = tokenizer(lab.prompts(1, seed=11)[0], return_tensors="pt").input_ids
    calls = []
    hook = target.register_forward_hook(lambda *_: calls.append(1))
    try:
        solved["speculative_generate"](target, draft, ids, 48, 4, 0.0, None, torch.Generator())
    finally:
        hook.remove()
    assert len(calls) <= 24


def test_expected_tokens_is_the_mean_of_a_simulation(solved):
    alpha, k = 0.7, 4
    u = torch.rand(200_000, k, generator=torch.Generator().manual_seed(0))
    tokens = (u < alpha).int().cumprod(1).sum(1) + 1
    assert solved["expected_tokens"](alpha, k) == pytest.approx(
        tokens.float().mean().item(), rel=5e-3
    )


# ---------------------------------------------------------------- chance in the hidden tests


@pytest.fixture(scope="module")
def hidden():
    return importlib.import_module(f"autograder.hidden.{NOTEBOOK}")


def beyond(n, p, off):
    """Probability that the share of n draws is more than `off` from p."""
    return sum(
        math.comb(n, c) * p**c * (1 - p) ** (n - c)
        for c in range(n + 1)
        if abs(c / n - p) > off * (1 - 1e-9)
    )


@torch.inference_mode()
def equal_texts(hidden, seed, n, temperature):
    """About how likely two texts of n tokens from a target of the tests are the same."""
    draw = Draw(seed)
    target = hidden.Case(draw, 2).target
    target.lm_head.weight.mul_(hidden.FLAT)
    ids, chance = [1, 2, 3, 4], 1.0
    for _ in range(n):
        p = hidden.rows(target, ids, temperature)[-1]
        chance *= float((p * p).sum())
        ids.append(int(torch.multinomial(p, 1, generator=draw.generator)))
    return chance


@torch.inference_mode()
def rejected_by_rounding(hidden, seed, temperature, k, n):
    """Expected rejections in n tokens of draft = target: one call with k + 1 tokens rounds
    otherwise than k + 1 calls with one."""
    draw = Draw(seed)
    target = hidden.Case(draw, 2, same=True).target
    cache, ids, one_by_one = DynamicCache(), [1], []
    for _ in range(n):
        logits = target(input_ids=torch.tensor([ids[-1:]]), past_key_values=cache).logits[0, -1]
        one_by_one.append((logits / temperature).softmax(-1))
        ids.append(int(torch.multinomial(one_by_one[-1], 1, generator=draw.generator)))
    cache, by_round = DynamicCache(), []
    for at in range(0, n, k + 1):
        some = torch.tensor([ids[at : at + k + 1]])
        by_round += target(input_ids=some, past_key_values=cache).logits[0]
    q, p = torch.stack(one_by_one).double(), (torch.stack(by_round) / temperature).softmax(-1)
    return float((q - p.double()).clamp(min=0).sum())


def test_a_right_answer_fails_in_less_than_one_of_a_million_gradings(hidden):
    shares = beyond(hidden.DRAWS, 10 / 11, hidden.OFF) + beyond(hidden.DRAWS, 0.9, hidden.OFF)
    agree = 63.0 ** (1 - hidden.FEW) + 64.0 ** (1 - hidden.FEW)
    p, q = torch.full((2, 1, 4), 0.25)
    sums = 2 * len(hidden.scores(p, q, p[:, :1], 2.0)) * len(hidden.LEANS) + hidden.DRIFTING
    # All texts, and those of each setting but the first, which is where all texts begin.
    texts = sums * len(hidden.SAMPLED) * hidden.UNLIKELY
    equal = 10 * sum(equal_texts(hidden, seed, 30, 1.5) for seed in range(10)) / 10
    # It takes two rejections to cost more than the round that `all_accepted` forgives.
    rounding = 10 * sum(
        max(rejected_by_rounding(hidden, seed, *setting) for seed in range(4)) ** 2
        for setting in hidden.ALL_ACCEPTED
        if setting[0] > 0
    )
    assert 0 < shares < 1e-7 and 0 < agree < 1e-8 and equal < 1e-9 and rounding < 1e-7
    assert shares + agree + texts + equal + rounding < 1e-6


@pytest.mark.parametrize("sign", [1, -1])
def test_the_bound_of_a_text_holds_for_one_token(hidden, sign):
    """The mean of exp(a d - (e^a - 1 - a) v), exactly, for many p and q: at most 1."""
    generator = torch.Generator().manual_seed(0)
    for size in (2, 5, 12):
        logits = 4 * torch.randn(2, 4000, size, generator=generator, dtype=torch.float64)
        p, q = logits.softmax(-1)
        after = torch.rand(4000, 1, generator=generator, dtype=torch.float64)
        for f in hidden.scores(p, q, after, 4.0):
            assert f.min() >= 0 and f.max() <= 1
            d = sign * (f - (p * f).sum(-1, keepdim=True))
            variance = (p * d * d).sum(-1)
            for a in hidden.LEANS:
                mean = (p * (a * d).exp()).sum(-1) * (-(math.exp(a) - 1 - a) * variance).exp()
                assert mean.max() <= 1 + 1e-12


# ---------------------------------------------------------------- the pair


@pytest.mark.parametrize("folder", PAIR, ids=lambda folder: folder.name)
def test_weights_are_what_their_provenance_says(folder):
    provenance = json.loads((folder / "provenance.json").read_text())
    weights = (folder / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == provenance["weights_sha256"]
    assert (folder / "training_log.csv").read_text().startswith("step,")


def test_the_courses_weights_are_small():
    assert sum(f.stat().st_size for f in TINY.parent.rglob("*") if f.is_file()) < 30e6


def test_the_draft_is_small_and_agrees_with_the_target(pair):
    target, draft, tokenizer = pair
    assert target.num_parameters() > 10 * draft.num_parameters()
    ids = tokenizer(lab.prompts(1, seed=11)[0], return_tensors="pt").input_ids
    text = lab.plain_generate(target, ids, 64)[0]
    assert lab.acceptance(target, draft, text)[ids.shape[1] :].mean() > 0.6


# ---------------------------------------------------------------- the experiments


def test_chi_square_of_a_fair_and_of_a_loaded_die():
    expected = torch.full((6,), 100.0)
    fair = torch.tensor([95.0, 104, 99, 108, 92, 102])
    loaded = torch.tensor([160.0, 88, 88, 88, 88, 88])
    # scipy.stats.chisquare: statistic 1.74, p 0.8839; statistic 43.2, p 3.4e-8
    assert lab.chi_square_p(fair, expected) == pytest.approx(0.8839, abs=1e-3)
    assert lab.chi_square_p(loaded, expected) < 1e-6
    assert lab.chi_square_p(torch.tensor([1.0, 9]), torch.tensor([0.0, 10])) == 0.0


@torch.no_grad()
def test_sequence_probabilities_are_products():
    target, _ = lab.toy_pair()
    prompt = torch.tensor([[0, 3, 1]])
    joint = lab.sequence_probabilities(target, prompt, 2, 0.8)
    assert joint.sum() == pytest.approx(1, abs=1e-5)
    first = (target(input_ids=prompt).logits[0, -1] / 0.8).softmax(-1)
    torch.testing.assert_close(joint.view(5, 5).sum(1), first, rtol=1e-4, atol=1e-6)


def test_the_explorers_numbers_are_the_exercises(solved):
    from course_lib.widgets.speculative import speculative_explorer

    text = speculative_explorer(0.8, 0.1, 0.0)._repr_mimebundle_()[0]["text/plain"]
    best = solved["best_k"](0.8, 0.1, 12)
    assert f"best k = {best}, {solved['speedup'](0.8, best, 0.1):.2f} times" in text


@pytest.mark.slow
def test_blank_release_has_no_other_error_than_not_implemented():
    from autograder.build import errors, run_release

    names = {name for _, name, _ in errors(run_release(NOTEBOOK))}
    assert names == {"NotImplementedError"}


@pytest.mark.slow
def test_reference_runs_and_every_greedy_text_is_the_same():
    from autograder.build import run_reference

    notebook = run_reference(NOTEBOOK)
    outputs = [
        "".join(output["data"]["text/plain"])
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "text/plain" in output.get("data", {})
    ]
    (same,) = [text for text in outputs if "gives the same 64 tokens" in text]
    assert len(re.findall(r"\b4\s*$", same, re.MULTILINE)) == 3, same


def test_answers_of_the_bank_define_their_exercise():
    bank = ROOT / "autograder" / "mutants" / NOTEBOOK
    for exercise in load_exercises(NOTEBOOK):
        answers = list((bank / exercise).glob("*/*.py"))
        assert len(answers) >= 12
        for path in answers:
            names = re.findall(r"^(?:def|class) (\w+)", path.read_text(), re.MULTILINE)
            assert exercise in names, path
