"""01_gqa_moe: the reference solutions against transformers, and the texts against the facts."""

import importlib
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from autograder.build import reference_cells
from autograder.judging import Draw
from course_lib.checking import run_check
from course_lib.configs import REAL_CONFIGS, ModelConfig
from course_lib.exercises import load_exercises

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = "01_gqa_moe"


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


@pytest.mark.parametrize("name", load_exercises(NOTEBOOK))
def test_visible_check_passes_on_the_reference(solved, name):
    report = run_check(name, solved[name])
    assert report.passed, report


def test_title_page_agrees_with_the_exercise_facts():
    text = (ROOT / "solutions" / f"{NOTEBOOK}.py").read_text()
    listed = re.findall(r"^# \| \d+ \| `(\w+)` \|.*\| (\d+) \|$", text, re.MULTILINE)
    facts = [(e.name, str(e.points)) for e in load_exercises(NOTEBOOK).values()]
    assert listed == facts
    assert sum(e.points for e in load_exercises(NOTEBOOK).values()) == 20


# ---------------------------------------------------------------- against transformers


@pytest.mark.parametrize("n_kv", [8, 2, 1])
@torch.no_grad()
def test_gqa_attention_is_llama_attention(solved, n_kv):
    from transformers import DynamicCache, LlamaConfig
    from transformers.models.llama.modeling_llama import (
        LlamaAttention,
        LlamaRotaryEmbedding,
        apply_rotary_pos_emb,
    )

    config = LlamaConfig(hidden_size=64, num_attention_heads=8, num_key_value_heads=n_kv)
    config._attn_implementation = "eager"
    theirs, x = LlamaAttention(config, layer_idx=0).eval(), torch.randn(2, 9, 64)
    cos_sin = LlamaRotaryEmbedding(config)(x, torch.arange(9)[None])
    q, k, v = (
        p(x).view(2, 9, -1, 8).transpose(1, 2)
        for p in (theirs.q_proj, theirs.k_proj, theirs.v_proj)
    )
    q, k = apply_rotary_pos_emb(q, k, *cos_sin)

    def mine(queries):
        out = solved["gqa_attention"](q[:, :, queries], k, v)
        return theirs.o_proj(out.transpose(1, 2).flatten(2))

    mask = torch.full((9, 9), -torch.inf).triu(1)[None, None]
    whole = theirs(x, cos_sin, attention_mask=mask)[0]
    torch.testing.assert_close(mine(slice(0, 9)), whole)

    cache = DynamicCache(config=config)  # the first 8 tokens, then one more
    first = tuple(t[:, :8] for t in cos_sin)
    theirs(x[:, :8], first, attention_mask=mask[:, :, :8, :8], past_key_values=cache)
    last = tuple(t[:, 8:] for t in cos_sin)
    decoded = theirs(x[:, 8:], last, attention_mask=None, past_key_values=cache)[0]
    torch.testing.assert_close(mine(slice(8, 9)), decoded)


@pytest.mark.parametrize("n_experts, k", [(8, 2), (5, 1), (4, 4)])
def test_sparse_moe_is_the_mixtral_block(solved, n_experts, k):
    from transformers import MixtralConfig
    from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

    config = MixtralConfig(
        hidden_size=12, intermediate_size=20, num_local_experts=n_experts, num_experts_per_tok=k
    )
    config._experts_implementation = "eager"
    theirs, mine = MixtralSparseMoeBlock(config), solved["SparseMoE"](12, 20, n_experts, k)
    with torch.no_grad():
        for parameter in theirs.parameters():
            nn.init.normal_(parameter, std=0.4)
        mine.gate.weight.copy_(theirs.gate.weight)
        for e, expert in enumerate(mine.experts):
            gate, up = theirs.experts.gate_up_proj[e].chunk(2)
            expert.w_gate.weight.copy_(gate)
            expert.w_up.weight.copy_(up)
            expert.w_down.weight.copy_(theirs.experts.down_proj[e])
    x = torch.randn(2, 7, 12)
    got, want = mine(x), theirs(x)
    assert want.abs().max() > 0.1
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)
    cotangent = torch.randn_like(want)
    (got * cotangent).sum().backward()
    (want * cotangent).sum().backward()
    torch.testing.assert_close(mine.gate.weight.grad, theirs.gate.weight.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_load_balancing_loss_is_that_of_transformers(solved, k):
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

    logits = torch.randn(40, 5, requires_grad=True)
    got = solved["load_balancing_loss"](logits, k)
    want = load_balancing_loss_func((logits,), 5, k)
    torch.testing.assert_close(got, want)
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (got, want)]
    torch.testing.assert_close(*gradients)


@torch.no_grad()
def test_kv_cache_bytes_are_those_of_a_dynamic_cache(solved):
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=48, intermediate_size=32, num_hidden_layers=3, num_attention_heads=6,
        num_key_value_heads=2, vocab_size=20,
    )  # fmt: skip
    model = LlamaForCausalLM(config).to(torch.bfloat16)
    cache = model(torch.ones(4, 11, dtype=torch.long)).past_key_values
    real = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert solved["kv_cache_bytes"](3, 2, 8, 4, 11) == real


def transformers_count(config: ModelConfig) -> int:
    """Parameters of the transformers model of these sizes, built without memory."""
    from transformers import AutoModelForCausalLM, LlamaConfig, MixtralConfig, Qwen2Config

    sizes = {
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.head_dim,
        "intermediate_size": config.d_ff,
        "vocab_size": config.vocab_size,
        "tie_word_embeddings": config.tied_embeddings,
    }
    if config.n_experts > 1:
        theirs = MixtralConfig(
            **sizes,
            num_local_experts=config.n_experts,
            num_experts_per_tok=config.experts_per_token,
        )
    else:
        theirs = (Qwen2Config if config.attention_bias else LlamaConfig)(**sizes)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(theirs)
    return sum(p.numel() for p in model.parameters())


ODD_CONFIGS = {  # heads * head_dim is not hidden_size
    "dense": ModelConfig(48, 3, 6, 2, 16, 100, 70, tied_embeddings=True),
    "mixture": ModelConfig(40, 2, 4, 1, 16, 64, 90, n_experts=5, experts_per_token=3),
}


@pytest.mark.parametrize("name", [*REAL_CONFIGS, *ODD_CONFIGS])
def test_moe_param_counts_are_those_of_transformers(solved, name):
    config = (REAL_CONFIGS | ODD_CONFIGS)[name]
    total, active = solved["moe_param_counts"](config)
    assert total == transformers_count(config)
    if config.n_experts == 1:
        assert active == total
    else:  # active is the same model with k experts and the full router
        small = ModelConfig(**{**vars(config), "n_experts": config.experts_per_token})
        idle = config.n_experts - config.experts_per_token
        router = config.n_layers * idle * config.hidden_size
        assert active == transformers_count(small) + router


# ---------------------------------------------------------------- the figures of the text


def test_figures_in_the_text(solved):
    ratios = {name: 3 * c.d_ff / c.hidden_size for name, c in REAL_CONFIGS.items()}
    assert (round(min(ratios.values()), 2), max(ratios.values())) == (8.06, 17.5)
    total, active = solved["moe_param_counts"](REAL_CONFIGS["Mixtral-8x7B"])
    assert (total, active) == (46702792704, 12879925248)
    expert = (total - active) // 6
    read = {n: total - (8 - solved["expected_experts"](8, 2, n)) * expert for n in (1, 2, 4, 8, 32)}
    billions = {n: round(x / 1e9, 1) for n, x in read.items()}
    assert billions == {1: 12.9, 2: 21.3, 4: 32.4, 8: 42.2, 32: 46.7}


def test_expected_experts_agrees_with_drawing(solved):
    trials, n_experts, k, n_tokens = 4000, 6, 2, 3
    chosen = torch.rand(trials, n_tokens, n_experts).topk(k).indices.flatten(1)
    distinct = torch.tensor([len(set(row)) for row in chosen.tolist()], dtype=torch.float64)
    error = distinct.std() / trials**0.5
    assert abs(distinct.mean() - solved["expected_experts"](n_experts, k, n_tokens)) < 5 * error


def test_the_judges_router_leaves_no_expert_without_a_token():
    """Else drawing tokens that reach all experts may never end: it did not in 4 of 1,000 draws."""
    hidden = importlib.import_module(f"autograder.hidden.{NOTEBOOK}")
    for seed in range(200):
        for n_experts, d_model in ((5, 6), (7, 5), (8, 6)):
            gate = hidden.router(Draw(seed), n_experts, d_model)
            best, second = (gate @ gate.T).topk(2).values.T
            assert (best - second > 0.4).all()
            assert (gate @ gate.T).argmax(-1).tolist() == list(range(n_experts))


def test_information_of_the_topic_experiment():
    """The notebook's mutual information: 1 bit for a copy, 0 for independent variables."""
    text = (ROOT / "solutions" / f"{NOTEBOOK}.py").read_text()
    source = re.search(r"^def information.*?(?=^\S(?!ef information))", text, re.M | re.S).group()
    namespace = {"torch": torch}
    exec(source, namespace)
    information = namespace["information"]
    a, b = torch.tensor([0, 0, 1, 1] * 5), torch.tensor([0, 1, 0, 1] * 5)
    assert information(a, a) == pytest.approx(1.0)
    assert information(a, b) == pytest.approx(0.0, abs=1e-12)
    assert information(a, 2 * a + b) == pytest.approx(1.0)


# ---------------------------------------------------------------- tables


def test_table_has_a_text_and_an_html_form(monkeypatch):
    from course_lib import pictures

    shown = []
    monkeypatch.setattr(pictures, "show", lambda *forms: shown.append(forms))
    pictures.table(["model", "n"], [["a<b", 1], ["long name", 22]], "caption")
    (markup, text), = shown  # fmt: skip
    assert "a&lt;b" in markup and "<caption" in markup
    assert text.splitlines() == ["caption", "model       n", "---------  --", "a<b         1",
                                 "long name  22"]  # fmt: skip
    with pytest.raises(ValueError):
        pictures.table(["one", "two"], [["only one"]])


# ---------------------------------------------------------------- the whole notebook


@pytest.mark.slow
def test_blank_release_has_no_other_error_than_not_implemented():
    from autograder.build import errors, run_release

    names = {name for _, name, _ in errors(run_release(NOTEBOOK))}
    assert names == {"NotImplementedError"}


@pytest.mark.slow
def test_reference_runs_and_agrees_with_transformers():
    from autograder.build import run_reference

    notebook = run_reference(NOTEBOOK)
    outputs = [str(o.get("data", o)) for cell in notebook.cells for o in cell.get("outputs", [])]
    assert not any("stderr" in output for output in outputs)
    verdicts = [output for output in outputs if "yours against transformers" in output]
    assert len(verdicts) == 1 and "DIFFERENT" not in verdicts[0]
    assert sum("well done" in output for output in outputs) == 8


def test_sources_are_well_formed():
    """Every answer of the bank compiles and defines its exercise."""
    bank = ROOT / "autograder" / "mutants" / NOTEBOOK
    for path in bank.glob("*/*/*.py"):
        source = path.read_text()
        compile(source, str(path), "exec")
        name = path.parent.parent.name
        assert re.search(rf"^(def|class) {name}\b", source, re.MULTILINE), path
