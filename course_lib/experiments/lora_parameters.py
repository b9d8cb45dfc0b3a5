"""What notebook 02 measures: a small model learns a new notation, and forgets some of the old.

The embedded model has read sums as `12+7=19`; the new task writes them `12+7:19`. An answer is
right when each of its tokens is the most likely one after the tokens before it: greedy decoding
would write exactly this answer, and one forward pass finds out.
"""

import random
import statistics
import time
from typing import NamedTuple

import torch
import torch.nn.functional as F

from course_lib.configs import ModelConfig
from course_lib.device import fitting_threads
from course_lib.problems import make_problems


def meta_model(config: ModelConfig):
    """The transformers model of a dense config on the meta device: all shapes, no memory."""
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    if config.n_experts > 1:
        raise ValueError("this builds dense models only; Mixtral has experts")
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
    with torch.device("meta"):
        if config.attention_bias:
            return Qwen2ForCausalLM(Qwen2Config(**sizes))
        return LlamaForCausalLM(LlamaConfig(**sizes))


# ---------------------------------------------------------------------------------- rows


class Rows(NamedTuple):
    """Texts as token ids, padded on the right to one length."""

    ids: torch.Tensor  # (n, T) int64
    labels: torch.Tensor  # (n, T) int64, not shifted, -100 everywhere but on the answers


def sums(n: int, seed: int) -> list[tuple[int, int]]:
    """n different pairs (a, b), a from 2 to 99, b from 2 to 40, with a + b at most 150."""
    every = [(a, b) for a in range(2, 100) for b in range(2, 41) if a + b <= 150]
    return random.Random(f"sums/{seed}").sample(every, n)


def encode(tokenizer, pairs: list[tuple[str, str]]) -> Rows:
    """(prompt, answer) texts as rows; only the answers are learned and judged."""
    texts = [(tokenizer.encode(prompt), tokenizer.encode(answer)) for prompt, answer in pairs]
    longest = max(len(prompt) + len(answer) for prompt, answer in texts)
    ids = torch.full((len(texts), longest), tokenizer.pad_token_id)
    labels = torch.full_like(ids, -100)
    for i, (prompt, answer) in enumerate(texts):
        end = len(prompt) + len(answer)
        ids[i, :end] = torch.tensor(prompt + answer)
        labels[i, len(prompt) : end] = torch.tensor(answer)
    return Rows(ids, labels)


def word_problems(tokenizer, n: int) -> Rows:
    """n held-out word problems with answers in GSM8K's format, every token judged."""
    problems = make_problems(n, "test")
    return encode(tokenizer, [("", f"{p['question']}\n{p['answer']}") for p in problems])


# ---------------------------------------------------------------------------------- judging


def _logits_and_targets(model, ids, labels):
    # Prompt tuning puts its tokens in front: the logits of the text are the last ones.
    logits = model(input_ids=ids).logits[:, -ids.shape[1] :]
    return logits[:, :-1], labels[:, 1:]


@torch.no_grad()
def accuracy(model, rows: Rows) -> float:
    """Share of rows whose whole answer greedy decoding would write."""
    logits, targets = _logits_and_targets(model.eval(), *rows)
    return ((logits.argmax(-1) == targets) | (targets == -100)).all(1).double().mean().item()


@torch.no_grad()
def mean_loss(model, rows: Rows, at_once: int = 8) -> float:
    """Mean loss in nats over the judged tokens of all rows.

    A few rows at once: the logits of a row are T times the vocabulary, which for 400 tokens of
    Qwen2.5 is 0.23 GiB in float32.
    """
    model.eval()
    total = count = 0
    for begin in range(0, len(rows.ids), at_once):
        logits, targets = _logits_and_targets(model, *_batch(rows, slice(begin, begin + at_once)))
        loss = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="sum")
        total, count = total + loss.item(), count + int((targets != -100).sum())
    return total / count


def _batch(rows: Rows, chosen) -> Rows:
    """Some rows, cut behind the last token that is judged in any of them."""
    ids, labels = rows.ids[chosen], rows.labels[chosen]
    width = int((labels != -100).any(0).nonzero().max()) + 1
    return Rows(ids[:, :width], labels[:, :width])


# ---------------------------------------------------------------------------------- training


class Training(NamedTuple):
    """What training took."""

    n_trainable: int
    step_seconds: float  # median
    state_bytes: int  # gradients and optimizer, counted in the tensors themselves


def train(model, rows: Rows, lr: float, steps: int, seed: int, batch: int = 32) -> Training:
    """Train what requires gradient with Adam: a short warm-up, then a linear decay to zero."""
    with fitting_threads(model):
        return _train(model, rows, lr, steps, seed, batch)


def _train(model, rows, lr, steps, seed, batch):
    generator = torch.Generator().manual_seed(seed)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=lr)
    model.train()
    seconds = []
    for step in range(steps):
        begun = time.perf_counter()
        optimizer.param_groups[0]["lr"] = lr * min(1, (step + 1) / 10) * (1 - step / steps)
        chosen = torch.randint(len(rows.ids), (batch,), generator=generator)
        logits, targets = _logits_and_targets(model, *_batch(rows, chosen))
        optimizer.zero_grad()
        F.cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - begun)
    moments = [t for s in optimizer.state.values() for t in s.values() if t.dim()]
    return Training(
        n_trainable=sum(p.numel() for p in trained),
        step_seconds=statistics.median(seconds),
        state_bytes=sum(t.nbytes for t in [*moments, *(p.grad for p in trained)]),
    )
