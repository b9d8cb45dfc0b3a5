"""The sizes against transformers' own models, built on the meta device (no weights)."""

import functools

import pytest
import torch
import transformers
from torch import nn

from course_lib.configs import REAL_CONFIGS, ModelConfig, linear_shapes

KINDS = {"Llama": "Llama", "Mixtral": "Mixtral", "Qwen2.5": "Qwen2"}
TOTALS = {
    "Llama-2-7B": 6_738_415_616,
    "Llama-3-8B": 8_030_261_248,
    "Mixtral-8x7B": 46_702_792_704,
    "Qwen2.5-7B": 7_615_616_512,
    "Qwen2.5-Math-1.5B": 1_543_714_304,
}


@functools.cache
def real_model(name):
    c = REAL_CONFIGS[name]
    kind = next(kind for prefix, kind in KINDS.items() if name.startswith(prefix))
    moe = {"num_local_experts": c.n_experts, "num_experts_per_tok": c.experts_per_token}
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=c.hidden_size,
        num_hidden_layers=c.n_layers,
        num_attention_heads=c.n_heads,
        num_key_value_heads=c.n_kv_heads,
        head_dim=c.head_dim,
        intermediate_size=c.d_ff,
        vocab_size=c.vocab_size,
        tie_word_embeddings=c.tied_embeddings,
        **(moe if kind == "Mixtral" else {}),
    )
    with torch.device("meta"):
        model = getattr(transformers, f"{kind}ForCausalLM")(config)
    model.tie_weights()
    return model


@pytest.mark.parametrize("name", REAL_CONFIGS)
def test_sizes_give_the_real_number_of_parameters(name):
    assert sum(p.numel() for p in real_model(name).parameters()) == TOTALS[name]


@pytest.mark.parametrize("name", REAL_CONFIGS)
def test_linear_shapes_are_those_of_transformers(name):
    real = {
        module_name: tuple(module.weight.shape)
        for module_name, module in real_model(name).named_modules()
        if isinstance(module, nn.Linear) and module_name != "lm_head"
    }
    mine = linear_shapes(REAL_CONFIGS[name])
    if name.startswith("Mixtral"):  # transformers 5 fuses the experts, see the docstring
        mine = {n: shape for n, shape in mine.items() if ".self_attn." in n}
        real = {n: shape for n, shape in real.items() if ".self_attn." in n}
    assert mine == real and len(mine) >= 4 * REAL_CONFIGS[name].n_layers


def test_mixtral_experts_add_up_to_the_fused_tensors():
    blocks = sum(
        p.numel() for n, p in real_model("Mixtral-8x7B").named_parameters() if ".mlp." in n
    )
    shapes = linear_shapes(REAL_CONFIGS["Mixtral-8x7B"])
    assert sum(a * b for n, (a, b) in shapes.items() if ".block_sparse_moe." in n) == blocks


def test_biases_are_as_said():
    for name, config in REAL_CONFIGS.items():
        biased = {n.split(".")[-2] for n, _ in real_model(name).named_parameters() if "bias" in n}
        assert biased == ({"q_proj", "k_proj", "v_proj"} if config.attention_bias else set())


def test_peft_counts_the_same_adapter():
    from peft import LoraConfig, get_peft_model

    targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
    config = REAL_CONFIGS["Qwen2.5-Math-1.5B"]
    real_model.cache_clear()  # peft changes the model in place
    with torch.device("meta"):
        model = get_peft_model(
            real_model("Qwen2.5-Math-1.5B"), LoraConfig(r=16, target_modules=targets)
        )
    real_model.cache_clear()
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    shapes = [s for n, s in linear_shapes(config).items() if n.split(".")[-1] in targets]
    assert trainable == 4_358_144 == 16 * sum(map(sum, shapes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_kv_heads": 5}, "multiple of n_kv_heads"),
        ({"n_layers": 0}, "n_layers must be a whole number"),
        ({"hidden_size": 4096.0}, "hidden_size must be a whole number"),
        ({"d_ff": True}, "d_ff must be a whole number"),
        ({"tied_embeddings": 1}, "tied_embeddings must be True or False"),
        ({"experts_per_token": 2}, "must not exceed n_experts"),
    ],
)
def test_nonsense_is_refused(change, message):
    sizes = {
        "hidden_size": 64,
        "n_layers": 2,
        "n_heads": 8,
        "n_kv_heads": 2,
        "head_dim": 8,
        "d_ff": 128,
        "vocab_size": 100,
    }
    assert ModelConfig(**sizes)
    with pytest.raises(ValueError, match=message):
        ModelConfig(**{**sizes, **change})
