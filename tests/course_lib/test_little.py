"""The little causal language model behaves as transformers' own do."""

import pickle

import pytest
import torch
from transformers import DynamicCache, LlamaForCausalLM

from course_lib.little import little_lm


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = little_lm(9).double().requires_grad_(False)
    for parameter in model.parameters():
        parameter.copy_(0.6 * torch.randn_like(parameter))
    return model


@pytest.fixture
def ids():
    return torch.randint(0, 9, (2, 11), generator=torch.Generator().manual_seed(1))


def test_it_is_a_llama_for_everybody_who_asks(model):
    assert isinstance(model, LlamaForCausalLM) and model.config.vocab_size == 9
    again = pickle.loads(pickle.dumps(model))
    ids = torch.tensor([[3, 1, 4]])
    assert torch.equal(again(ids).logits, model(ids).logits)


@pytest.mark.parametrize("pieces", [(1,) * 11, (4, 7), (5, 1, 3, 2)])
def test_with_a_cache_it_gives_what_it_gives_without(model, ids, pieces):
    cache, found = DynamicCache(), []
    for piece in ids.split(pieces, dim=1):
        found.append(model(input_ids=piece, past_key_values=cache, use_cache=True).logits)
    assert cache.get_seq_length() == 11
    assert torch.allclose(torch.cat(found, 1), model(ids).logits, atol=1e-5)


def test_a_cropped_cache_has_forgotten_what_was_cropped(model, ids):
    cache = model(input_ids=ids, use_cache=True).past_key_values
    cache.crop(-4)
    other = (ids[:, 7:] + 1) % 9
    found = model(input_ids=other, past_key_values=cache).logits
    want = model(torch.cat([ids[:, :7], other], 1)).logits[:, 7:]
    assert torch.allclose(found, want, atol=1e-5)


def test_an_uncropped_cache_shows(model, ids):
    """What a test of a cache is for: with a rejected token left in it, the logits differ."""
    cache = model(input_ids=ids[:, :8], use_cache=True).past_key_values
    found = model(input_ids=ids[:, 7:8], past_key_values=cache).logits[:, -1]
    want = model(ids[:, :8]).logits[:, -1]
    assert (found - want).abs().max() > 0.1


def test_later_tokens_do_not_count_and_every_earlier_one_does(model, ids):
    before = model(ids).logits
    for place in range(11):
        changed = ids.clone()
        changed[:, place] = (changed[:, place] + 1) % 9
        after = (model(changed).logits - before).abs().amax((0, 2))
        assert not place or after[:place].max() < 1e-12
        assert after[place:].min() > 1e-9


def test_places_may_be_given(model, ids):
    places = torch.arange(11)[None]
    assert torch.allclose(model(ids, position_ids=places).logits, model(ids).logits, atol=1e-6)
    assert not torch.allclose(model(ids, position_ids=places + 1).logits, model(ids).logits)


def test_generate_is_the_greedy_loop(model):
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    want = ids
    for _ in range(8):
        want = torch.cat([want, model(want).logits[:, -1].argmax(-1)[:, None]], 1)
    got = model.generate(ids, max_new_tokens=8, do_sample=False)
    assert torch.equal(got, want)
