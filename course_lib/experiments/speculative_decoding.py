"""What notebook 06 measures: acceptance, the costs of a step, and the time of four ways to decode.

The loop itself is the student's and is handed in.
"""

import math
import statistics
import time

import torch
from transformers import DynamicCache

from course_lib.problems import make_problems
from course_lib.quiet import quiet
from course_lib.show import html_text, show

NEW_TOKENS = 96


def prompts(n: int, seed: int = 0) -> list[str]:
    """Prompts that show one solved problem and ask a second: the base continues in the format."""
    problems = make_problems(2 * n, "test", seed)
    pairs = zip(problems[::2], problems[1::2], strict=True)
    return [f"{a['question']}\n{a['answer']}\n\n{b['question']}\n" for a, b in pairs]


# ---------------------------------------------------------------------------------- two rivals


@torch.inference_mode()
def plain_generate(target, input_ids, max_new_tokens, temperature=0.0, generator=None):
    """Decoding with a cache, one target call a token. -> (1, T + max_new_tokens) ids."""
    cache, ids, new = DynamicCache(), input_ids[0].tolist(), input_ids
    for _ in range(max_new_tokens):
        logits = target(input_ids=new, past_key_values=cache, logits_to_keep=1).logits[0, -1]
        if temperature == 0:
            token = int(logits.argmax())
        else:
            p = torch.softmax(logits.float() / temperature, -1)
            token = int(torch.multinomial(p, 1, generator=generator))
        ids.append(token)
        new = torch.tensor([[token]], device=input_ids.device)
    return torch.tensor([ids], device=input_ids.device)


def library_generate(target, input_ids, max_new_tokens, temperature=0.0, draft=None, **options):
    """transformers' own generate, with an assistant if `draft` is given; it never ends early."""
    # With pad but without eos, generate cannot stop before max_new_tokens.
    config = {"eos_token_id": None, "pad_token_id": 1, "max_new_tokens": max_new_tokens}
    config["do_sample"] = temperature > 0
    if temperature > 0:
        config |= {"temperature": temperature, "top_k": 0, "top_p": 1.0}
    if draft is not None:
        # It takes these from the draft's own configuration.
        for name, value in options.items():
            setattr(draft.generation_config, name, value)
        config["assistant_model"] = draft
    stops = target.generation_config.eos_token_id, target.config.eos_token_id
    target.generation_config.eos_token_id = target.config.eos_token_id = None
    try:
        mask = torch.ones_like(input_ids)
        with quiet():  # it warns of how it calls itself
            return target.generate(input_ids, attention_mask=mask, **config)
    finally:
        target.generation_config.eos_token_id, target.config.eos_token_id = stops


# ---------------------------------------------------------------------------------- acceptance


@torch.inference_mode()
def acceptance(target, draft, ids, temperature: float = 1.0) -> torch.Tensor:
    """(T,) -> (T - 1,): probability that a guess at each place after the first is accepted,
    the sum of min(p, q). At temperature 0 it is 1 where both prefer the same token."""
    p, q = (m(input_ids=ids[None], use_cache=False).logits[0, :-1].float() for m in (target, draft))
    if temperature == 0:
        return (p.argmax(-1) == q.argmax(-1)).float()
    p, q = torch.softmax(p / temperature, -1), torch.softmax(q / temperature, -1)
    return torch.minimum(p, q).sum(-1)


def show_acceptance(tokens: list[str], values: list[float], limit: float = 0.6) -> None:
    """The text with its hard tokens marked: boxed, bold, and the probability below in per cent.

    No colour is needed to read it, and it follows a dark theme."""
    shown, plain = [], []
    for token, value in zip(tokens, values, strict=True):
        text = html_text(token.replace("\n", "↵"))
        if value < limit:
            shown.append(
                '<b style="border:1.5px solid currentColor;border-radius:3px;padding:0 2px">'
                f'{text}<sub style="font-weight:normal">{100 * value:.0f}</sub></b>'
            )
            plain.append(f"[{token.replace(chr(10), '↵')} {100 * value:.0f}]")
        else:
            shown.append(text)
            plain.append(token.replace("\n", "↵"))
        if "\n" in token:
            shown.append("<br>")
            plain.append("\n")
    body = "".join(shown)
    style = "font-family:monospace;white-space:pre-wrap;line-height:2"
    show(f'<div style="{style}">{body}</div>', "".join(plain))


# ---------------------------------------------------------------------------------- costs


@torch.inference_mode()
def step_seconds(models, lengths, context=200, batch=1, rounds=12) -> dict:
    """{(name, n): seconds} for one call on n tokens after `context` tokens: medians over rounds in
    which all take turns, so that a busy moment of the machine hits every one of them."""
    times: dict = {}
    caches = {}
    for name, model in models.items():
        ids = torch.arange(batch * context, device=model.device).view(batch, context) % 500
        caches[name] = DynamicCache()
        model(input_ids=ids, past_key_values=caches[name], logits_to_keep=1)
    for _ in range(rounds):
        for name, model in models.items():
            for n in lengths[name]:
                new = torch.full((batch, n), 7, device=model.device)
                begun = time.perf_counter()
                model(input_ids=new, past_key_values=caches[name], logits_to_keep=n).logits.sum()
                times.setdefault((name, n), []).append(time.perf_counter() - begun)
                caches[name].crop(-n)
    return {key: statistics.median(values) for key, values in times.items()}


def race(runs: dict, inputs: list, repeats: int = 1) -> dict:
    """{name: [seconds per input]}: each input goes to every runner before the next one, `repeats`
    times; each runner is called once before, unmeasured."""
    times = {name: [] for name in runs}
    for run in runs.values():
        run(inputs[0])
    for _ in range(repeats):
        for ids in inputs:
            for name, run in runs.items():
                begun = time.perf_counter()
                run(ids)
                times[name].append(time.perf_counter() - begun)
    return times


def faster(times: dict, name: str, than: str) -> float:
    """How many times faster `name` is: the median over the inputs of theirs over ours."""
    pairs = zip(times[than], times[name], strict=True)
    return statistics.median(theirs / ours for theirs, ours in pairs)


# ---------------------------------------------------------------------------------- exactness


def chi_square_p(counts: torch.Tensor, expected: torch.Tensor, least: float = 5.0) -> float:
    """p-value of Pearson's chi-square; cells that expect fewer than `least` are put together."""
    small = expected < least
    counts = torch.cat([counts[~small], counts[small].sum()[None]]).double()
    expected = torch.cat([expected[~small], expected[small].sum()[None]]).double()
    used = expected > 0
    if counts[~used].any():
        return 0.0
    statistic = ((counts - expected)[used] ** 2 / expected[used]).sum()
    freedom = int(used.sum()) - 1
    return float(torch.special.gammaincc(torch.tensor(freedom / 2.0).double(), statistic / 2))


@torch.inference_mode()
def sequence_probabilities(model, prompt: torch.Tensor, length: int, temperature: float):
    """The exact joint distribution of the next `length` tokens: V^length numbers."""
    vocabulary = model.config.vocab_size
    grid = torch.cartesian_prod(*[torch.arange(vocabulary)] * length).view(-1, length)
    ids = torch.cat([prompt.expand(len(grid), -1), grid], dim=1)
    logits = model(input_ids=ids, use_cache=False).logits[:, prompt.shape[1] - 1 : -1].float()
    log_p = torch.log_softmax(logits / temperature, -1)
    return log_p.gather(2, grid[..., None]).sum((1, 2)).exp()


def toy_pair(vocabulary: int = 5, seed: int = 0):
    """Two random little Llamas whose distributions depend strongly on what came before."""
    from transformers import LlamaConfig, LlamaForCausalLM

    models = []
    for number, layers in enumerate((2, 1)):
        generator = torch.Generator().manual_seed(1000 * seed + number)
        config = LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=layers,
            num_attention_heads=2,
            max_position_embeddings=256,
            bos_token_id=None,
            eos_token_id=None,
        )
        model = LlamaForCausalLM(config).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.dim() == 2:
                    scale = 1.0 if "embed" in name else 0.45
                    parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
        models.append(model)
    return models


def sequence_test(generate, pair, length=3, runs=3000, temperature=1.0, seed=0) -> dict:
    """Sample `runs` continuations and compare their counts with the exact joint distribution.

    Returns the p-value of the chi-square and the total variation distance, with that which a
    perfect sampler would show on average (only noise)."""
    target, draft = pair
    prompt = torch.tensor([[0, 3, 1]])
    exact = sequence_probabilities(target, prompt, length, temperature)
    weights = target.config.vocab_size ** torch.arange(length - 1, -1, -1)
    generator = torch.Generator().manual_seed(seed)
    counts = torch.zeros_like(exact)
    for _ in range(runs):
        out = generate(target, draft, prompt, length, 2, temperature, None, generator)
        counts[int((out[0, prompt.shape[1] :] * weights).sum())] += 1
    noise = (exact * (1 - exact) * 2 / (math.pi * runs)).sqrt().sum() / 2
    return {
        "p": chi_square_p(counts, exact * runs),
        "distance": float((counts / runs - exact).abs().sum() / 2),
        "noise": float(noise),
    }
