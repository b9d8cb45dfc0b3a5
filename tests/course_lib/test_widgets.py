import base64
import io
import json
import shutil
import subprocess

import pytest

import course_lib
from course_lib import (
    kv_cache_explorer,
    lora_rank_explorer,
    mask_explorer,
    method_chooser,
    moe_routing_explorer,
    speculative_explorer,
    star_explorer,
)
from course_lib.configs import REAL_CONFIGS, ModelConfig, linear_shapes
from course_lib.widgets.explorer import FOLDER, script
from course_lib.widgets.speculative import SITUATIONS

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
EXPLORERS = sorted(name for name in course_lib.__all__ if name.endswith("_explorer"))
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


@pytest.mark.parametrize("name", EXPLORERS)
def test_a_picture_and_a_text_stand_in(name):
    from matplotlib import image

    widget = getattr(course_lib, name)()
    data, metadata = widget._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    assert metadata["image/png"]["alt"] == data["text/plain"] and len(data["text/plain"]) > 40
    png = base64.b64decode(data["image/png"])
    assert len(png) < 150_000
    height, width, _ = image.imread(io.BytesIO(png)).shape
    assert width > 400 and height > 150


def test_the_words_for_the_picture_are_in_the_exported_page():
    nbconvert = pytest.importorskip("nbconvert")
    import nbformat

    data, metadata = kv_cache_explorer()._repr_mimebundle_()
    output = nbformat.v4.new_output("display_data", data=data, metadata=metadata)
    cell = nbformat.v4.new_code_cell("1", outputs=[output])
    export = nbconvert.HTMLExporter(template_name="classic")  # the others leave them out
    page, _ = export.from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    assert 'alt="KV cache, one sequence of 8,192 tokens' in page
    assert "data:image/png;base64" in page


def test_the_picture_has_the_counted_numbers():
    text = lora_rank_explorer(model="Qwen2.5-Math-1.5B")._repr_mimebundle_()[0]["text/plain"]
    assert "4,358,144" in text
    assert "1 GiB" in kv_cache_explorer()._repr_mimebundle_()[0]["text/plain"]


def test_keeps_the_metadata_that_colab_needs(monkeypatch):
    import anywidget

    url = {"application/vnd.jupyter.widget-view+json": {"colab": {"custom_widget_manager": {}}}}
    monkeypatch.setattr(anywidget.AnyWidget, "_repr_mimebundle_", lambda self, **k: ({}, url))
    metadata = kv_cache_explorer()._repr_mimebundle_()[1]
    assert url.items() <= metadata.items() and metadata.keys() - url.keys() == {"image/png"}


@pytest.mark.parametrize("name", [*EXPLORERS, "method_chooser"])
def test_the_state_is_small(name):
    state = getattr(course_lib, name)().get_state()
    assert len(json.dumps({k: str(v) for k, v in state.items()})) < 60_000


def test_the_speculative_explorer_computes_as_python(javascript):
    from course_lib.widgets.still import speculative

    for alpha, cost, check in [(0.8, 0.1, 0.02), (1.0, 0.0, 0.0), (0.0, 0.3, 0.1)]:
        gains = javascript(
            "speculative",
            f"[...Array(12).keys()].map((k) => x.speedup({alpha}, k + 1, {cost}, {check}))",
            {},
        )
        best = max(range(12), key=lambda k: gains[k])
        text = speculative(alpha, cost, check)["text/plain"]
        assert f"best k = {best + 1}, {gains[best]:.2f} times" in text


def learned(javascript, widget, number, policy="answers", one_id=True, room=256):
    """What the explorer's JavaScript does with the widget's text `number`."""
    options = f"{json.dumps(policy)}, {json.dumps(one_id)}, {room}"
    return javascript("mask", f"x.label(models[{number}], {options})", widget.texts)


def test_the_mask_is_that_of_the_tokenizers_own_template(javascript):
    from transformers import AutoTokenizer

    from course_lib.experiments.sft_masking import template_labels
    from course_lib.models import TINY
    from course_lib.widgets.mask import CONVERSATIONS, LECTURE

    tokenizer = AutoTokenizer.from_pretrained(TINY)
    widget = mask_explorer()
    for number, text in enumerate(widget.texts):
        turns = CONVERSATIONS[text["name"]]
        if text["template"] != LECTURE or "<|" in turns[0]["content"]:
            continue  # written by a user, a marker is text here and a marker for the template
        tokens = learned(javascript, widget, number)
        ids, labels = template_labels(tokenizer, turns)
        assert [t["token"] for t in tokens] == [tokenizer.decode([i]) for i in ids]
        assert [t["learned"] for t in tokens] == [label != -100 for label in labels]


def test_policies_differ_as_they_say(javascript):
    widget = mask_explorer()
    two = next(i for i, text in enumerate(widget.texts) if text["name"] == "two questions")
    seen = {
        policy: "".join(
            t["token"] for t in learned(javascript, widget, two, policy) if t["learned"]
        )
        for policy in ("answers", "last", "no end", "all")
    }
    end = "<|endoftext|>"
    first, second = "3x = 22 - 7 = 15, so x = 15 / 3 = 5.", "3 * 5 + 7 = 22."
    assert seen["answers"] == first + end + second + end
    assert seen["last"] == second + end and seen["no end"] == first + second
    assert seen["all"].startswith("<|system|>\nAnswer in one line.\n<|user|>\nIf 3x")
    # Cut in the middle of the first answer: nothing after it counts.
    cut = learned(javascript, widget, two, room=45)
    assert [t["cut"] for t in cut] == [i >= 45 for i in range(len(cut))]
    assert first.startswith("".join(t["token"] for t in cut if t["learned"]))
    # A marker that is not one id is many tokens, and what a user writes is never a marker.
    assert len(learned(javascript, widget, two, one_id=False)) > len(cut) + 20
    written = next(i for i, text in enumerate(widget.texts) if "marker" in text["name"])
    tokens = learned(javascript, widget, written)
    assert [t["turn"] for t in tokens if t["token"] == "<|assistant|>"] == [1]


def test_a_conversation_and_a_tokenizer_of_ones_own(javascript):
    from transformers import AutoTokenizer

    from course_lib.models import PAIR

    tokenizer = AutoTokenizer.from_pretrained(PAIR[0])
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "<b>Yo</b>"}]
    widget = mask_explorer(turns, tokenizer)
    assert widget.texts[0]["name"] == "own"
    said = "".join(t["token"] for t in learned(javascript, widget, 0) if t["learned"])
    assert said == "<b>Yo</b><|endoftext|>"


def test_intervals_and_differences_agree_with_python(javascript):
    from course_lib.experiments.seeds import mean_and_half
    from course_lib.experiments.star import recorded

    widget, arms = star_explorer(), recorded()["arms"]
    runs = {arm: arms[arm]["3"] for arm in ("star", "control")}
    a, b = ([seeds[s]["pass@1"] for s in sorted(seeds)] for seeds in runs.values())
    ask = "[2, 3, 5].map((n) => [x.meanAndHalf(models.a, n), x.difference(models.a, models.b, n)])"
    shown = {"a": widget.arms["star"]["values"]["pass@1"]["3"]}
    shown["b"] = widget.arms["control"]["values"]["pass@1"]["3"]
    assert shown == {"a": a, "b": b}
    for n, (alone, apart) in zip((2, 3, 5), javascript("star", ask, shown), strict=True):
        assert alone == pytest.approx(mean_and_half(a[:n]))
        differences = [x - y for x, y in zip(a[:n], b[:n], strict=True)]
        assert apart == pytest.approx(mean_and_half(differences))


def test_the_star_explorer_has_every_round_and_says_the_settings():
    from course_lib.experiments.star import recorded
    from course_lib.widgets.star import SAMPLED

    settings = recorded()["settings"]
    assert settings["problems"] == 800 and settings["samples"] == 2 and "800" in SAMPLED
    for arm, curve in star_explorer().arms.items():
        assert set(curve["values"]["pass@1"]) == {"0", "1", "2", "3"}, arm
        assert ("kept" in curve["values"]) is (arm != "control")


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
    with pytest.raises(ValueError, match="no measure 'loss': take one of pass@1"):
        star_explorer(measure="loss")
    with pytest.raises(ValueError, match="role must be system, user or assistant, not 'tool'"):
        mask_explorer([{"role": "tool", "content": "5"}])
    assert lora_rank_explorer(OWN).model == "own"


def test_every_control_keeps_its_arrow_keys():
    # JupyterLab takes the arrows of a native input that lacks the attribute; `control` sets it.
    for path in FOLDER.glob("*.js"):
        source = path.read_text()
        assert 'element("input"' not in source and 'element("select"' not in source, path
    assert '"data-lm-suppress-shortcuts": "true"' in (FOLDER / "common.js").read_text()
