import base64
import io
import json
import shutil
import subprocess

import pytest

from course_lib.configs import REAL_CONFIGS, ModelConfig, linear_shapes
from course_lib.widgets import (
    FOLDER,
    kv_cache_explorer,
    lora_rank_explorer,
    moe_routing_explorer,
    script,
)
from course_lib.widgets.speculative import SITUATIONS, method_chooser, speculative_explorer

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
OWN = ModelConfig(96, 3, 6, 2, 16, 200, 500, 4, 2, attention_bias=True)


@pytest.fixture(scope="module")
def javascript(tmp_path_factory):
    """Evaluates an expression over an explorer's exports and `models`, in node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    folder = tmp_path_factory.mktemp("js")

    def evaluate(name, expression, models):
        (folder / f"{name}.mjs").write_text(script(name), encoding="utf-8")
        (folder / "run.mjs").write_text(
            f"import * as x from './{name}.mjs';\nconst models = {json.dumps(models)};\n"
            f"console.log(JSON.stringify({expression}));\n"
        )
        done = subprocess.run(
            [node, "run.mjs"], cwd=folder, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    return evaluate


def every(expression):
    return f"Object.fromEntries(Object.entries(models).map(([n, m]) => [n, {expression}]))"


def test_counts_the_weights_of_every_model(javascript):
    models = kv_cache_explorer().models
    assert javascript("kv_cache", every("x.baseParameters(m)"), models) == {
        "Llama-2-7B": 6_738_415_616,
        "Llama-3-8B": 8_030_261_248,
        "Mixtral-8x7B": 46_702_792_704,
        "Qwen2.5-7B": 7_615_616_512,
        "Qwen2.5-Math-1.5B": 1_543_714_304,
    }


def test_lora_counts_agree_with_python(javascript):
    models = lora_rank_explorer(OWN).models
    configs = {"own": OWN} | REAL_CONFIGS
    sets = [ATTENTION, ["q_proj"], ["down_proj"], ["w1", "w2", "w3", "q_proj"]]
    ask = f"{json.dumps(sets)}.map(s => [1, 16, 256].map(r => x.loraParameters(m, s, r)))"
    for name, counts in javascript("lora_rank", every(ask), models).items():
        shapes = linear_shapes(configs[name]).items()
        for names, row in zip(sets, counts, strict=True):
            chosen = [s for n, s in shapes if n.rsplit(".", 1)[-1] in names]
            for r, count in zip((1, 16, 256), row, strict=True):
                assert count == sum(r * a + r * b for a, b in chosen), (name, names, r)
    # Measured with peft: notebook 02's own example.
    expression = f"x.loraParameters(m, {json.dumps(ATTENTION)}, 16)"
    assert javascript("lora_rank", every(expression), models)["Qwen2.5-Math-1.5B"] == 4_358_144


def test_cache_bytes_agree_with_a_real_cache(javascript):
    import torch
    from transformers import DynamicCache

    models = kv_cache_explorer(OWN).models
    for kv_heads in (6, 2, 1):
        cache = DynamicCache()
        for layer in range(OWN.n_layers):
            block = torch.zeros(2, kv_heads, 5, OWN.head_dim, dtype=torch.bfloat16)
            cache.update(block, block.clone(), layer)
        real = sum(x.keys.nbytes + x.values.nbytes for x in cache.layers)
        expression = every(f"x.cacheBytesPerToken(m, {kv_heads}, 2) * 2 * 5")
        assert javascript("kv_cache", expression, models)["own"] == real
    published = every("x.cacheBytesPerToken(m, m.n_kv_heads, 2)")
    seen = javascript("kv_cache", published, models)
    assert seen["Llama-3-8B"] == 131_072 and seen["Qwen2.5-7B"] == 57_344


def test_what_fits(javascript):
    models = kv_cache_explorer().models
    seen = javascript("kv_cache", every("x.longestContext(m, 24e9, 4, 2)"), models)
    m, weights = REAL_CONFIGS["Llama-3-8B"], 2 * 8_030_261_248
    one = 4 * m.n_layers * 2 * m.n_kv_heads * m.head_dim * 2
    longest = seen["Llama-3-8B"]
    assert weights + longest * one <= 24e9 < weights + (longest + 1) * one
    assert seen["Mixtral-8x7B"] == 0


def test_variants_name_what_the_model_has(javascript):
    seen = javascript("kv_cache", every("x.variants(m)"), kv_cache_explorer(OWN).models)
    assert seen["Llama-2-7B"] == [["MHA", 32, True], ["GQA", 8, False], ["MQA", 1, False]]
    assert seen["Qwen2.5-7B"] == [["MHA", 28, False], ["GQA", 4, True], ["MQA", 1, False]]
    assert seen["own"][1] == ["GQA", 2, True]


def test_the_router_is_fair_without_favourites_and_unfair_with_them(javascript):
    seen = javascript("moe_routing", "[x.simulate(8, 2, 0), x.simulate(8, 2, 3)]", {})
    fair, unfair = seen
    assert fair["touched"]["1"] == pytest.approx(2) and fair["touched"]["256"] == pytest.approx(8)
    # 12 batches of 4 tokens: the mean number of experts is within a few standard errors of
    # what counting over all draws without replacement gives.
    assert fair["touched"]["4"] == pytest.approx(8 * (1 - (6 / 8) ** 4), abs=0.7)
    for one in seen:
        assert all(sum(load) == 2 * int(n) for n, load in one["loads"].items())
    assert max(fair["loads"]["256"]) < 1.5 * 64 < max(unfair["loads"]["256"])
    assert unfair["touched"]["8"] < fair["touched"]["8"]


def test_a_model_without_experts_has_no_routing():
    with pytest.raises(ValueError, match="no model 'Llama-3-8B'"):
        moe_routing_explorer(model="Llama-3-8B")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("x.short(4358144)", "4.36M"),
        ("x.binaryBytes(131072)", "128 KiB"),
        ("x.binaryBytes(1073741824)", "1 GiB"),
        ("x.decimalBytes(17432576)", "17.4 MB"),
        ("x.whole(46702792704)", "46,702,792,704"),
    ],
)
def test_numbers_as_words(javascript, call, words):
    assert javascript("kv_cache", call, {}) == words


@pytest.mark.parametrize("explorer", [lora_rank_explorer, kv_cache_explorer, moe_routing_explorer])
def test_a_picture_and_a_text_stand_in(explorer):
    from matplotlib import image

    widget = explorer()
    data, metadata = widget._repr_mimebundle_()
    assert isinstance(metadata, dict)
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    assert widget.model in data["text/plain"]
    png = base64.b64decode(data["image/png"])
    assert len(png) < 150_000
    height, width, _ = image.imread(io.BytesIO(png)).shape
    assert width > 400 and height > 200


def test_the_picture_has_the_counted_numbers():
    text = lora_rank_explorer(model="Qwen2.5-Math-1.5B")._repr_mimebundle_()[0]["text/plain"]
    assert "4,358,144" in text
    assert "1 GiB" in kv_cache_explorer()._repr_mimebundle_()[0]["text/plain"]


def test_keeps_the_metadata_that_colab_needs(monkeypatch):
    import anywidget

    url = {"application/vnd.jupyter.widget-view+json": {"colab": {"custom_widget_manager": {}}}}
    monkeypatch.setattr(anywidget.AnyWidget, "_repr_mimebundle_", lambda self, **k: ({}, url))
    assert kv_cache_explorer()._repr_mimebundle_()[1] == url


def test_the_state_is_small():
    for widget in (lora_rank_explorer(OWN), kv_cache_explorer(OWN), moe_routing_explorer()):
        assert len(json.dumps({k: str(v) for k, v in widget.get_state().items()})) < 60_000


def test_the_speculative_explorer_computes_as_python(javascript):
    from course_lib.widgets.still import speculative

    for alpha, cost, check in [(0.8, 0.1, 0.02), (1.0, 0.0, 0.0), (0.0, 0.3, 0.1)]:
        gains = javascript(
            "speculative",
            f"[...Array(12).keys()].map((k) => x.speedup({alpha}, k + 1, {cost}, {check}))",
            {},
        )
        best = max(range(12), key=lambda k: gains[k])
        text, _ = speculative(alpha, cost, check)
        assert f"best k = {best + 1}, {gains[best]:.2f} times" in text


def test_the_method_chooser_has_a_table_for_where_no_widget_runs():
    data, _ = method_chooser()._repr_mimebundle_()
    for situation in SITUATIONS:
        assert set(situation) == {"situation", "method", "why", "cost", "instead"}
        assert situation["method"] in data["text/plain"]
    assert data["text/html"].count("<tr>") == len(SITUATIONS) + 1


def test_wrong_starts_are_refused():
    with pytest.raises(ValueError, match="alpha must be between 0 and 1"):
        speculative_explorer(alpha=1.5)
    with pytest.raises(ValueError, match="choice must be a whole number from 0 to"):
        method_chooser(99)
    with pytest.raises(ValueError, match="no model 'GPT-5': take one of Llama-2-7B"):
        lora_rank_explorer(model="GPT-5")
    with pytest.raises(ValueError, match="rank must be"):
        lora_rank_explorer(rank=0)
    assert lora_rank_explorer(OWN).model == "own"


def test_every_control_keeps_its_arrow_keys():
    # JupyterLab takes the arrows of a native input that lacks the attribute; `control` sets it.
    for part in ("lora_rank", "kv_cache", "moe_routing", "speculative", "method_choice"):
        source = (FOLDER / f"{part}.js").read_text()
        assert 'element("input"' not in source and 'element("select"' not in source
    assert '"data-lm-suppress-shortcuts": "true"' in (FOLDER / "common.js").read_text()
