"""The prediction before a run: against a real pass, and what it decides when memory is short."""

import pytest
import torch

from course_lib.models import load_base
from course_lib.preflight import preflight

MIB = 2**20


@pytest.fixture(scope="module")
def model():
    return load_base("cpu")[0]


def test_much_memory_means_the_whole_batch_at_once(model):
    plan = preflight(model, [100, 60, 80], steps=10, batch=8, free_bytes=2**34)
    assert (plan.micro_batch, plan.accumulation, plan.checkpointing) == (8, 1, False)
    assert plan.settings["per_device_train_batch_size"] == 8
    assert plan.seconds > 0 and "8 examples at once x 1" in str(plan)


def test_less_memory_means_accumulation(model):
    roomy = preflight(model, [120] * 9, steps=10, batch=16, free_bytes=2**34)
    tight = preflight(model, [120] * 9, steps=10, batch=16, free_bytes=roomy.peak_bytes // 2)
    assert tight.micro_batch < roomy.micro_batch
    assert tight.micro_batch * tight.accumulation == 16
    assert tight.peak_bytes < roomy.peak_bytes


def test_too_little_for_one_example_is_one_clear_line(model):
    with pytest.raises(MemoryError, match=r"take a smaller max_length") as caught:
        preflight(model, [200], steps=10, batch=4, free_bytes=MIB // 2)
    assert "\n" not in str(caught.value)


def test_no_memory_even_for_the_measurement_is_the_same_line(model, monkeypatch):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr("course_lib.preflight._one_pass", full)
    with pytest.raises(MemoryError, match=r"take a smaller max_length") as caught:
        preflight(model, [200], steps=10, batch=4, free_bytes=MIB)
    assert "\n" not in str(caught.value)


def test_a_batch_is_a_power_of_two(model):
    with pytest.raises(ValueError, match="power of two"):
        preflight(model, [10], steps=1, batch=12)


def test_the_model_is_left_as_it_was(model):
    before = {name: p.clone() for name, p in model.named_parameters()}
    required = [p.requires_grad for p in model.parameters()]
    preflight(model, [50], steps=1, batch=2, free_bytes=2**34)
    assert [p.requires_grad for p in model.parameters()] == required
    assert not model.training and not model.is_gradient_checkpointing
    assert all(torch.equal(before[n], p) and p.grad is None for n, p in model.named_parameters())


def test_memory_is_predicted_within_a_factor_of_two():
    from course_lib.device import peak_memory

    model = load_base("cpu")[0]
    plan = preflight(model, [400] * 4, steps=1, batch=8, trainable=0, free_bytes=2**34)
    held = sum(p.numel() * p.element_size() for p in model.parameters())
    model.requires_grad_(False)
    ids = torch.ones(8, 400, dtype=torch.int64)
    with peak_memory() as peak:
        inputs = model.get_input_embeddings()(ids).requires_grad_(True)
        model(inputs_embeds=inputs, labels=ids, use_cache=False).loss.backward()
    if not peak.bytes:
        pytest.skip(peak.measured)
    assert 0.5 < (plan.peak_bytes - held) / peak.bytes < 2
