"""Visible checks of 03_sft_masking. Small ids that one can follow with a pencil."""

import copy
from types import SimpleNamespace

import torch
from torch import nn

from course_lib.checking import Case, visible

# ---------------------------------------------------------------- format_chat

ASK = {"role": "user", "content": "2 + 3?"}
SAY = {"role": "assistant", "content": "5"}


@visible("format_chat")
def format_chat_cases(format_chat):
    right = "<|user|>\n2 + 3?\n<|assistant|>\n5<|endoftext|>"
    pair = [ASK, SAY]
    yield Case(
        "a question and an answer",
        call="format_chat([user, assistant])",
        got=lambda: format_chat(pair),
        expected=right,
        mistakes=[
            ("the assistant's turn does not end in <|endoftext|>: it would never learn to stop",
             right.removesuffix("<|endoftext|>")),
            ("only the assistant's turn ends in <|endoftext|>",
             "<|user|>\n2 + 3?<|endoftext|>\n<|assistant|>\n5<|endoftext|>"),
            ("turns are joined by a newline", right.replace("?\n", "?")),
            ("nothing comes after the last turn", right + "\n"),
            ("a newline, not a blank, comes after the role", right.replace("|>\n", "|> ")),
            ("the generation prompt was not asked for", right + "\n<|assistant|>\n"),
        ],
        unchanged=(pair,),
    )  # fmt: skip
    yield Case(
        "the generation prompt is one more turn without content",
        call="format_chat([user], add_generation_prompt=True)",
        got=lambda: format_chat([ASK], add_generation_prompt=True),
        expected="<|user|>\n2 + 3?\n<|assistant|>\n",
        mistakes=[
            ("the newline after the last header is missing", "<|user|>\n2 + 3?\n<|assistant|>"),
            ("the generation prompt is missing", "<|user|>\n2 + 3?"),
            ("the turn is left open: no <|endoftext|>",
             "<|user|>\n2 + 3?\n<|assistant|>\n<|endoftext|>"),
        ],
        hint=2,
    )  # fmt: skip
    rule = {"role": "system", "content": " Be brief.\n"}
    yield Case(
        "a system turn; the content stays as it is, blanks too",
        call="format_chat([system, user])",
        got=lambda: format_chat([rule, ASK]),
        expected="<|system|>\n Be brief.\n\n<|user|>\n2 + 3?",
        mistakes=[("do not strip the content", "<|system|>\nBe brief.\n<|user|>\n2 + 3?")],
        hint=2,
    )
    yield Case(
        "another role is refused",
        call="format_chat([{'role': 'tool', 'content': '5'}])",
        got=lambda: format_chat([{"role": "tool", "content": "5"}]),
        raises=ValueError,
        hint=3,
    )


# ---------------------------------------------------------------- build_example


@visible("build_example")
def build_example_cases(build_example):
    prompt, response = [11, 12, 13], [21, 22]

    def example(ids, masked):
        return {"input_ids": ids, "labels": [-100] * masked + ids[masked:]}

    right = example([11, 12, 13, 21, 22, 9], 3)
    yield Case(
        "prompt masked, response and one eos learned",
        call="build_example([11, 12, 13], [21, 22], eos_id=9, max_len=20)",
        got=lambda: build_example(prompt, response, 9, 20),
        expected=right,
        mistakes=[
            ("the eos is missing: the model would never learn to stop",
             example([11, 12, 13, 21, 22], 3)),
            ("the eos is masked: it must be learned",
             {**right, "labels": [-100] * 3 + [21, 22, -100]}),
            ("the prompt is not masked", example(right["input_ids"], 0)),
            ("do not shift: sft_loss does that",
             {**right, "labels": [-100, -100, 21, 22, 9, -100]}),
        ],
        unchanged=(prompt, response),
    )  # fmt: skip
    yield Case(
        "a response that ends in eos gets no second one",
        call="build_example([11], [21, 9], eos_id=9, max_len=20)",
        got=lambda: build_example([11], [21, 9], 9, 20),
        expected=example([11, 21, 9], 1),
        mistakes=[("there are two eos", example([11, 21, 9, 9], 1))],
        hint=2,
    )
    yield Case(
        "an eos in the middle is not the end",
        call="build_example([11], [21, 9, 22], eos_id=9, max_len=20)",
        got=lambda: build_example([11], [21, 9, 22], 9, 20),
        expected=example([11, 21, 9, 22, 9], 1),
        mistakes=[("the LAST id decides whether an eos is needed", example([11, 21, 9, 22], 1))],
        hint=2,
    )
    yield Case(
        "cut on the right, the eos too",
        call="build_example([11, 12, 13], [21, 22], eos_id=9, max_len=4)",
        got=lambda: build_example(prompt, response, 9, 4),
        expected=example([11, 12, 13, 21], 3),
        mistakes=[
            ("cut on the right, not on the left", example([13, 21, 22, 9], 1)),
            ("first append the eos, then cut: a text that was cut has not ended",
             example([11, 12, 13, 9], 3)),
            ("the ids were not cut",
             {"input_ids": right["input_ids"], "labels": [-100] * 3 + [21]}),
            ("an example that is too long is cut, not thrown away", None),
        ],
        hint=2,
    )  # fmt: skip
    yield Case(
        "None when nothing is left to learn",
        call="build_example([11, 12, 13], [21, 22], eos_id=9, max_len=3)",
        got=lambda: build_example(prompt, response, 9, 3),
        expected=None,
        mistakes=[("all labels are -100: give None", example([11, 12, 13], 3))],
        hint=3,
    )
    yield Case(
        "an empty response still teaches the eos",
        call="build_example([11, 12], [], eos_id=9, max_len=20)",
        got=lambda: build_example([11, 12], [], 9, 20),
        expected=example([11, 12, 9], 2),
        mistakes=[("the eos is a supervised token: this is no case for None", None)],
        hint=3,
    )


# ---------------------------------------------------------------- collate


@visible("collate")
def collate_cases(collate):
    short = {"input_ids": [5, 9], "labels": [-100, 9]}
    long = {"input_ids": [6, 7, 8, 9], "labels": [-100, -100, 8, 9]}
    rows = [short, long]
    right = {
        "input_ids": [[5, 9, 9, 9], [6, 7, 8, 9]],
        "labels": [[-100, 9, -100, -100], [-100, -100, 8, 9]],
        "attention_mask": [[1, 1, 0, 0], [1, 1, 1, 1]],
    }
    left = {
        "input_ids": [[9, 9, 5, 9], [6, 7, 8, 9]],
        "labels": [[-100, -100, -100, 9], [-100, -100, 8, 9]],
        "attention_mask": [[0, 0, 1, 1], [1, 1, 1, 1]],
    }

    def verdict(batch):
        if type(batch) is not dict or set(batch) != set(right):
            return "a dict with input_ids, labels and attention_mask is expected"
        for name, value in batch.items():
            if not isinstance(value, torch.Tensor):
                return f"{name} is not a tensor"
            if value.dtype != torch.int64:
                return f"{name} is {value.dtype}, int64 is expected"
            if tuple(value.shape) != (2, 4):
                return f"{name} has shape {tuple(value.shape)}, (2, 4) is expected"
        lists = {name: value.tolist() for name, value in batch.items()}
        if lists in (right, left):
            return None
        for name in right:
            if lists[name] == right[name] or lists[name] == left[name]:
                continue
            got = lists[name]
            if name == "labels" and any(9 in row[2:] for row in got[:1]):
                return "labels are padded with -100, whatever pad_id is"
            if name == "attention_mask" and got[0].count(1) == 1:
                return (
                    "pad_id is 9 here and so is the real eos: take the mask from the lengths, "
                    "not from the ids"
                )
            return f"{name} is {got}"
        return "ids, labels and mask are not padded on the same side"

    yield Case(
        "two rows, 2 and 4 long; pad_id is the eos",
        call="collate(examples, pad_id=9)",
        got=lambda: collate(rows, 9),
        verify=verdict,
        unchanged=(rows,),
    )
    yield Case(
        "the rows stay in order",
        call="collate([long, short], pad_id=0)['attention_mask'].sum(1)",
        got=lambda: collate([long, short], 0)["attention_mask"].sum(1).tolist(),
        expected=[4, 2],
        hint=3,
    )
    yield Case(
        "no longer than the longest",
        call="collate([short], pad_id=0)['input_ids']",
        got=lambda: collate([short], 0)["input_ids"],
        expected=torch.tensor([[5, 9]]),
        hint=3,
    )


# ---------------------------------------------------------------- sft_loss


def slow_loss(logits, labels):
    """Token by token: minus the log probability of each supervised token, averaged."""
    losses = []
    for row in range(logits.shape[0]):
        for t in range(1, logits.shape[1]):
            if labels[row, t] != -100:
                scores = logits[row, t - 1].double()
                losses.append(scores.exp().sum().log() - scores[labels[row, t]])
    return (sum(losses) / len(losses)).float()


@visible("sft_loss")
def sft_loss_cases(sft_loss):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 7, generator=generator)
    labels = torch.tensor([[-100, -100, 3, 1, 6], [-100, 2, -100, -100, -100]])
    want = slow_loss(logits, labels)
    same = torch.nn.functional.cross_entropy
    flat = labels.flatten()
    yield Case(
        "the mean over the supervised tokens, shifted",
        call="sft_loss(logits, labels)   # (2, 5, 7) and (2, 5), 4 labels",
        got=lambda: sft_loss(logits, labels),
        expected=want,
        mistakes=[
            ("not shifted: the logits at t are a guess about token t + 1",
             lambda: same(logits.flatten(0, 1), flat, ignore_index=-100)),
            ("shifted the wrong way", lambda: same(
                logits[:, 1:].flatten(0, 1), labels[:, :-1].flatten(), ignore_index=-100)),
            ("divided by the number of rows, not of supervised tokens", lambda: want * 4 / 2),
            ("divided by the number of all tokens", lambda: want * 4 / 8),
            ("that is the sum, not the mean", lambda: want * 4),
            ("the mean of the rows' means: each TOKEN has the same weight", lambda: torch.stack(
                [slow_loss(logits[:1], labels[:1]), slow_loss(logits[1:], labels[1:])]).mean()),
        ],
        unchanged=(logits, labels),
    )  # fmt: skip
    nothing = torch.full((2, 5), -100)

    def masked():
        leaf = logits.clone().requires_grad_(True)
        loss = sft_loss(leaf * 1, nothing)
        return loss, leaf

    def zero(result):
        loss, leaf = result
        if not isinstance(loss, torch.Tensor) or loss.dim():
            return "a scalar tensor is expected"
        if loss != 0:
            return f"it is {loss.item()}: the mean of nothing is 0/0; divide the sum by at least 1"
        if loss.grad_fn is None:
            return "it has no grad_fn: backward would fail in the middle of a training"
        loss.backward()
        if leaf.grad is not None and leaf.grad.abs().sum() != 0:
            return "it has a gradient that is not 0"
        return None

    yield Case(
        "everything masked: 0 that still has a grad_fn",
        call="sft_loss(logits, all -100)",
        got=masked,
        verify=zero,
        hint=2,
    )
    half = logits.bfloat16()
    yield Case(
        "bfloat16 logits give a float32 loss",
        call="sft_loss(logits.bfloat16(), labels)",
        got=lambda: sft_loss(half, labels),
        expected=slow_loss(half, labels),
        hint=3,
    )
    first = torch.tensor([[4, -100, -100, -100, -100], [-100, -100, -100, -100, 5]])
    yield Case(
        "a label at the first position is predicted by nothing",
        call="sft_loss(logits, labels with one at position 0)",
        got=lambda: sft_loss(logits, first),
        expected=slow_loss(logits, first),
        hint=2,
    )


# ---------------------------------------------------------------- train_step


class Bag(nn.Module):
    """A model with the call of a transformers model: logits from the embedding of each token."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.embed = nn.Embedding(6, 3)
        self.head = nn.Linear(3, 6)
        self.seen = []
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=generator))

    def forward(self, input_ids, attention_mask=None):
        self.seen.append((len(input_ids), attention_mask is not None))
        return SimpleNamespace(logits=self.head(self.embed(input_ids)))


def _batch(rows):
    ids = torch.tensor([[abs(i) for i in row] for row in rows])
    labels = torch.tensor([[i if i > 0 else -100 for i in row] for row in rows])
    return {"input_ids": ids, "labels": labels, "attention_mask": torch.ones_like(ids)}


@visible("train_step")
def train_step_cases(train_step):
    # Negative ids are masked. 5 supervised tokens, then 1, then none.
    batches = [
        _batch([[-1, 2, 3, 4], [-2, -3, 5, 1]]),
        _batch([[-3, -4, -1, 2]]),
        _batch([[-5, -1]]),
    ]
    big = [
        {
            "input_ids": torch.tensor([[1, 2, 3, 4], [2, 3, 5, 1], [3, 4, 1, 2]]),
            "labels": torch.tensor([[-100, 2, 3, 4], [-100, -100, 5, 1], [-100, -100, -100, 2]]),
        }
    ]
    want = Bag()
    loss = slow_loss(want(big[0]["input_ids"]).logits, big[0]["labels"])
    loss.backward()
    with torch.no_grad():
        for p in want.parameters():
            p -= 0.5 * p.grad

    def run(prepare=None, parts=batches, frozen=False):
        model = Bag()
        if frozen:
            model.embed.requires_grad_(False)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        if prepare:
            prepare(model)
        return train_step(model, optimizer, copy.deepcopy(parts)), model

    yield Case(
        "the loss of the big batch is returned, a float",
        call="train_step(model, optimizer, [5 tokens, 1 token, none])",
        got=lambda: run()[0],
        expected=loss.item(),
        mistakes=[
            ("the mean of the microbatches' means: weigh them by their supervised tokens", lambda: (
                slow_loss(Bag()(batches[0]["input_ids"]).logits, batches[0]["labels"]).item()
                + slow_loss(Bag()(batches[1]["input_ids"]).logits, batches[1]["labels"]).item())
             / 2),
        ],
        hint=2,
    )  # fmt: skip

    def equal(result):
        for (name, p), (_, q) in zip(
            result[1].named_parameters(), want.named_parameters(), strict=True
        ):
            if not torch.allclose(p, q, rtol=1e-3, atol=1e-5):
                return f"{name} is not what one step on the big batch would give"
        return None

    yield Case(
        "the weights move as by one step on the big batch",
        call="train_step(…); model.parameters()",
        got=run,
        verify=equal,
        hint=2,
    )

    def stale(model):
        for p in model.parameters():
            p.grad = torch.full_like(p, 7.0)

    yield Case(
        "gradients from before do not count",
        call="p.grad = 7; train_step(…)",
        got=lambda: run(stale),
        verify=lambda r: equal(r) and "old gradients were added: zero them at the start",
        hint=2,
    )
    yield Case(
        "no gradients are left behind",
        call="train_step(…); p.grad",
        got=run,
        verify=lambda r: (
            "gradients are left: zero them at the end"
            if any(p.grad is not None and p.grad.any() for p in r[1].parameters())
            else None
        ),
        hint=3,
    )

    def one_at_a_time(result):
        sizes = [n for n, _ in result[1].seen]
        if max(sizes) > 2:
            return f"{max(sizes)} rows went through the model at once: one microbatch at a time"
        if not all(mask for _, mask in result[1].seen):
            return "the model was called without attention_mask"
        return None

    yield Case(
        "one microbatch at a time, with its mask",
        call="train_step(…)   # what the model saw",
        got=run,
        verify=one_at_a_time,
        hint=3,
    )
    yield Case(
        "nothing to learn: 0.0, and nothing moves",
        call="train_step(model, optimizer, [all masked])",
        got=lambda: run(stale, [batches[2]]),
        verify=lambda r: (
            f"{r[0]!r} was returned, 0.0 is expected"
            if type(r[0]) is not float or r[0] != 0
            else "the weights moved"
            if any(
                not torch.equal(p, q)
                for p, q in zip(r[1].parameters(), Bag().parameters(), strict=True)
            )
            else None
        ),
        hint=3,
    )
    yield Case(
        "frozen parameters stay",
        call="model.embed frozen; train_step(…)",
        got=lambda: run(frozen=True),
        verify=lambda r: (
            None
            if torch.equal(r[1].embed.weight, Bag().embed.weight)
            and not r[1].embed.weight.requires_grad
            else "a frozen parameter was changed"
        ),
        hint=3,
    )


# ---------------------------------------------------------------- mask_conversation

SPECIAL = {"<|system|>": 1, "<|user|>": 2, "<|assistant|>": 3, "<|endoftext|>": 4}


def letters(text):
    """A tokenizer for a pencil: a newline is 10, other characters 100 + their code."""
    return [10 if c == "\n" else 100 + ord(c) for c in text]


@visible("mask_conversation")
def mask_conversation_cases(mask_conversation):
    talk = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "dd"},
    ]
    a, b, c, d = (letters(x)[0] for x in "abcd")
    ids = [2, 10, a, 10, 3, 10, b, 4, 10, 2, 10, c, 10, 3, 10, d, d, 4]
    learned = {6, 7, 15, 16, 17}

    def with_labels(places):
        return ids, [i if at in places else -100 for at, i in enumerate(ids)]

    yield Case(
        "every assistant's content and its end are learned, nothing else",
        call="mask_conversation([user a, assistant b, user c, assistant dd], encode, special)",
        got=lambda: tuple(mask_conversation(talk, letters, SPECIAL)),
        expected=with_labels(learned),
        mistakes=[
            ("only the last answer is learned: all of them should be", with_labels({15, 16, 17})),
            ("<|endoftext|> must be learned, or the model never stops", with_labels({6, 15, 16})),
            ("the assistant's header is not learned: it is given",
             with_labels(learned | {4, 5, 13, 14})),
            ("the newline after the header is not learned", with_labels(learned | {5, 14})),
            ("the newline between two turns is not learned", with_labels(learned | {8})),
            ("the user's turns are learned, too", with_labels(set(range(18)))),
        ],
        hint=2,
        unchanged=(talk,),
    )  # fmt: skip
    quote = [{"role": "user", "content": "<|assistant|>"}, {"role": "assistant", "content": "e"}]
    inside = letters("<|assistant|>")
    e = letters("e")[0]
    yield Case(
        "a marker in a text is a text",
        call="mask_conversation([user '<|assistant|>', assistant 'e'], encode, special)",
        got=lambda: tuple(mask_conversation(quote, letters, SPECIAL)),
        expected=(
            [2, 10, *inside, 10, 3, 10, e, 4],
            [-100] * (len(inside) + 5) + [e, 4],
        ),
        mistakes=[
            (
                "the user's text became a marker: only headers come from `special`",
                ([2, 10, 3, 10, 3, 10, e, 4], [-100] * 6 + [e, 4]),
            )
        ],
        hint=1,
    )
    system = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    yield Case(
        "no answer: nothing is learned",
        call="mask_conversation([system, user], encode, special)",
        got=lambda: tuple(mask_conversation(system, letters, SPECIAL)),
        expected=([1, 10, 215, 10, 2, 10, 217], [-100] * 7),
        mistakes=[
            ("only an assistant's turn ends in <|endoftext|>",
             ([1, 10, 215, 4, 10, 2, 10, 217, 4], [-100] * 9)),
        ],
        hint=3,
    )  # fmt: skip


# ---------------------------------------------------------------- prompt_gradient_norms


def tiny_model():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1}
    config = LlamaConfig(vocab_size=11, num_attention_heads=2, **sizes)
    return LlamaForCausalLM(config).eval()


@visible("prompt_gradient_norms")
def prompt_gradient_norms_cases(prompt_gradient_norms):
    with torch.random.fork_rng(devices=[]):
        model = tiny_model()
    ids = torch.tensor([[3, 1, 4, 1, 5, 9]])
    labels = torch.tensor([[-100, -100, -100, -100, 5, 9]])

    # The slow way: nudge each number of each embedding, and look at the loss.
    model.double()
    vectors = model.get_input_embeddings()(ids).detach()
    slopes = torch.zeros(6, 8, dtype=torch.float64)
    with torch.no_grad():
        for t in range(6):
            for i in range(8):
                ends = []
                for step in (1e-4, -1e-4):
                    moved = vectors.clone()
                    moved[0, t, i] += step
                    ends.append(slow_loss64(model(inputs_embeds=moved).logits, labels))
                slopes[t, i] = (ends[0] - ends[1]) / 2e-4
    model.float()
    want = slopes.norm(dim=1).float()

    def run(frozen=False):
        model.requires_grad_(not frozen)
        model.zero_grad(set_to_none=True)
        return prompt_gradient_norms(model, ids, labels)

    yield Case(
        "one norm for each position; zero at the last",
        call="prompt_gradient_norms(model, ids, labels)   # labels at the last two positions",
        got=run,
        expected=want,
        rtol=1e-2,
        mistakes=[
            ("that is the square of the norm", lambda: want**2),
            ("that is the sum of absolute values", lambda: slopes.abs().sum(1).float()),
        ],
    )
    yield Case(
        "a frozen model works as well",
        call="model.requires_grad_(False); prompt_gradient_norms(…)",
        got=lambda: run(frozen=True),
        expected=want,
        rtol=1e-2,
        hint=2,
    )

    def untouched():
        run(frozen=True)
        frozen = [p.requires_grad for p in model.parameters()]
        run()
        return any(frozen), any(p.grad is not None for p in model.parameters())

    yield Case(
        "the parameters stay as they are",
        call="prompt_gradient_norms(…)   # (requires_grad switched on, .grad filled)",
        got=untouched,
        expected=(False, False),
        mistakes=[
            ("backward fills .grad of every parameter: torch.autograd.grad does not",
             (False, True)),
            ("requires_grad of the parameters was switched on and left so", (True, False)),
        ],
        hint=3,
    )  # fmt: skip


def slow_loss64(logits, labels):
    total, count = 0.0, 0
    for t in range(1, logits.shape[1]):
        if labels[0, t] != -100:
            total += logits[0, t - 1].logsumexp(0) - logits[0, t - 1, labels[0, t]]
            count += 1
    return total / count
