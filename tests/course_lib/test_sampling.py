import pytest
import torch

from course_lib import sampling
from course_lib.models import load_base
from course_lib.problems import make_problems
from course_lib.sampling import sample


@pytest.fixture(scope="module")
def tiny():
    return load_base("cpu")


@pytest.fixture(scope="module")
def prompts():
    return [f"{p['question']}\n" for p in make_problems(24, "validation")]


def generate(model, tokenizer, prompt, **kwargs):
    ids = tokenizer(prompt, return_tensors="pt")
    new = model.generate(**ids, **kwargs)[:, ids["input_ids"].shape[1] :]
    return [tokenizer.decode(row, skip_special_tokens=True) for row in new]


def test_greedy_is_generates_greedy_whatever_the_batch(tiny, prompts):
    model, tokenizer = tiny
    prompts = prompts[:10]
    want = [generate(model, tokenizer, p, max_new_tokens=60)[0] for p in prompts]
    for batch_size in (1, 4, 256):
        got = sample(
            model, tokenizer, prompts, temperature=0, max_new_tokens=60, batch_size=batch_size
        )
        assert [text for text, _ in got] == want


def test_groups_and_repeated_prompts(tiny, prompts, monkeypatch):
    """Prompts are read in groups of like length and equal ones once: the texts stay the same."""
    model, tokenizer = tiny
    want = sample(model, tokenizer, prompts[:9], temperature=0, max_new_tokens=30)
    monkeypatch.setattr(sampling, "GROUP", 2)
    read = []
    embed = model.model.embed_tokens
    hook = embed.register_forward_pre_hook(lambda _, args: read.append(tuple(args[0].shape)))
    try:
        got = sample(model, tokenizer, prompts[:9] * 3, temperature=0, max_new_tokens=30)
    finally:
        hook.remove()
    assert got == want * 3
    assert [rows for rows, places in read if places > 1] == [2, 2, 2, 2, 1]
    drawn = sample(model, tokenizer, prompts[:1] * 20, temperature=1, max_new_tokens=30)
    assert len(set(drawn)) > 10


def test_a_draw_never_takes_what_has_no_probability():
    generator = torch.Generator().manual_seed(0)
    logits = torch.full((20_000, 7), -float("inf"))
    logits[:, 2], logits[:, 5] = 0.0, 1.0
    share = (sampling._draw(logits, 0.5, generator) == 5).float().mean().item()
    assert set(sampling._draw(logits, 0.5, generator).tolist()) == {2, 5}
    assert abs(share - 1 / (1 + torch.tensor(-2.0).exp().item())) < 0.02  # 8 standard deviations


def test_stopped_means_the_end_token_was_drawn(tiny, prompts):
    model, tokenizer = tiny
    for (short, short_stopped), (long, stopped) in zip(
        sample(model, tokenizer, prompts, temperature=0, max_new_tokens=9),
        sample(model, tokenizer, prompts, temperature=0, max_new_tokens=400),
        strict=True,
    ):
        assert long.startswith(short)
        assert stopped
        assert short_stopped == (len(tokenizer.encode(long)) < 9)


def test_seeds(tiny, prompts):
    model, tokenizer = tiny
    one = sample(model, tokenizer, prompts, seed=1, max_new_tokens=20)
    assert one == sample(model, tokenizer, prompts, seed=1, max_new_tokens=20)
    assert one != sample(model, tokenizer, prompts, seed=2, max_new_tokens=20)
    state = torch.get_rng_state()
    sample(model, tokenizer, prompts[:2], seed=3, max_new_tokens=3)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.5])
def test_the_distribution_is_the_models(tiny, temperature):
    """Two tokens drawn 2,000 times between prompts of other lengths: chi-square against the exact
    distribution of pairs. The bound is passed by chance with a probability under 1e-6."""
    model, tokenizer = tiny
    prompt, other = "Ann has ", "Ben has 5 eggs. Ben buys 3 more. How many eggs has Ben?\n"
    n = 2000
    results = sample(
        model,
        tokenizer,
        [prompt] * n + [other] * 50,
        temperature,
        seed=5,
        max_new_tokens=2,
        batch_size=n // 2 + 30,
    )
    counts = {}
    for text, _ in results[:n]:
        counts[text] = counts.get(text, 0) + 1
    ids = torch.tensor([tokenizer.encode(prompt)])
    with torch.no_grad():
        first = torch.softmax(model(ids).logits[0, -1].double() / temperature, -1)
        expected = {}
        for a in first.topk(60).indices.tolist():
            if a == tokenizer.eos_token_id:
                continue
            after = model(torch.tensor([[*ids[0].tolist(), a]])).logits[0, -1].double()
            second = torch.softmax(after / temperature, -1)
            for b, probability in enumerate(second.tolist()):
                text = tokenizer.decode([a, b], skip_special_tokens=True)
                expected[text] = expected.get(text, 0) + first[a].item() * probability * n
    cells = {text: e for text, e in expected.items() if e >= 8}
    assert len(cells) > 5
    rest = n - sum(cells.values())
    seen_rest = n - sum(counts.get(text, 0) for text in cells)
    statistic = sum((counts.get(text, 0) - e) ** 2 / e for text, e in cells.items())
    statistic += (seen_rest - rest) ** 2 / max(rest, 1)
    df = len(cells)
    # Wilson-Hilferty, 4.9 standard deviations.
    assert statistic < df * (1 - 2 / (9 * df) + 4.9 * (2 / (9 * df)) ** 0.5) ** 3


def test_order_mode_and_edges(tiny, prompts):
    model, tokenizer = tiny
    forward = sample(model, tokenizer, prompts, temperature=0, max_new_tokens=12)
    backward = sample(model, tokenizer, prompts[::-1], temperature=0, max_new_tokens=12)
    assert forward == backward[::-1]
    assert sample(model, tokenizer, []) == []
    model.train()
    sample(model, tokenizer, prompts[:1], max_new_tokens=2)
    assert model.training
    model.eval()
    with pytest.raises(ValueError, match="negative"):
        sample(model, tokenizer, prompts, temperature=-0.1)


def test_an_adapter_is_sampled_as_such(tiny, prompts):
    from copy import deepcopy

    from peft import LoraConfig, get_peft_model

    model, tokenizer = tiny
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    torch.manual_seed(0)
    adapted = get_peft_model(deepcopy(model), config).eval()
    got = sample(adapted, tokenizer, prompts, temperature=0, max_new_tokens=15)
    merged = deepcopy(adapted).merge_and_unload()
    assert got == sample(merged, tokenizer, prompts, temperature=0, max_new_tokens=15)
    assert got != sample(model, tokenizer, prompts, temperature=0, max_new_tokens=15)
