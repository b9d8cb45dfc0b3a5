"""Hidden tests of 03_sft_masking.

Expected losses are computed token by token in float64, gradients by autograd on these; layouts are
put together by hand. Nothing is taken from the answer.
"""

import itertools
import math
import re

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from autograder.judging import (
    Fail,
    check_close,
    check_equal,
    check_raises,
    check_type,
    hidden,
)

# fmt: off
WORDS = [
    "so", "then", "she", "has", "the", "boxes", "together", "and", "each", "of", "them", "costs",
    "more", "than", "what", "paid", "for", "lunch", "which", "leaves", "half", "to", "his", "pens",
]
# fmt: on
MARKS = ("<|system|>", "<|user|>", "<|assistant|>", "<|endoftext|>")


def words(draw, low=1, high=6):
    return " ".join(draw.choice(WORDS) for _ in range(draw.integers(low, high)))


def message(draw, role):
    return {"role": role, "content": words(draw)}


def talk(draw, turns, system):
    roles = ["system"] * system + [("user", "assistant")[i % 2] for i in range(turns)]
    return [message(draw, role) for role in roles]


# ---------------------------------------------------------------- format_chat


def laid_out(messages, prompt=False):
    text = ""
    for i, m in enumerate(messages):
        text += "\n" if i else ""
        text += "<|" + m["role"] + "|>" + "\n" + m["content"]
        text += "<|endoftext|>" if m["role"] == "assistant" else ""
    if prompt:
        text += ("\n" if messages else "") + "<|assistant|>\n"
    return text


@hidden(
    "format_chat",
    "turns of all three roles in the lecture's format",
    weight=3,
    core=True,
    hint="<|role|>, newline, content; <|endoftext|> behind an assistant's; joined by newlines.",
)
def layout(student, draw):
    for turns, system in itertools.product((1, 2, 3, 6), (False, True)):
        messages = talk(draw, turns, system)
        want = laid_out(messages)
        check_equal(student.format_chat(messages, add_generation_prompt=False), want)
        check_equal(student.format_chat(messages), want, "add_generation_prompt left out")


@hidden(
    "format_chat",
    "the generation prompt is one more turn, left open",
    weight=2,
    hint="<|assistant|> and a newline, whoever spoke last.",
)
def generation_prompt(student, draw):
    for turns, system in itertools.product((1, 2, 3), (False, True)):
        messages = talk(draw, turns, system)
        got = student.format_chat(messages, add_generation_prompt=True)
        check_equal(got, laid_out(messages, True))
        check_equal(student.format_chat(messages, True), got)  # by its place among the arguments
    check_equal(student.format_chat([], True), laid_out([], True), "no messages")


@hidden(
    "format_chat",
    "the content is verbatim: blanks, newlines, markers, nothing",
    weight=1.5,
    hint="Do not strip, do not replace.",
)
def verbatim(student, draw):
    contents = [f"  {words(draw)}\n\n", "", f"{words(draw)} <|user|>\n{words(draw)}<|endoftext|>",
                f"\r\n{{{words(draw)}}}\r{{}} %s \\n\u2028"]  # fmt: skip
    messages = [
        {"role": role, "content": content}
        for content in contents
        for role in ("user", "assistant", "system")
    ]
    held = student.put(messages)
    check_equal(student.format_chat(held), laid_out(messages))
    check_equal(student.format_chat(held, True), laid_out(messages, True))
    check_equal(student.value(held), messages, "the messages after the call")


@hidden("format_chat", "ValueError for an unknown role", hint="system, user, assistant only.")
def unknown_role(student, draw):
    for role in ("tool", "User", "", "bot", "endoftext"):
        for messages in (
            [message(draw, role)],
            [message(draw, "user"), message(draw, role), message(draw, "assistant")],
        ):
            check_raises("ValueError", student.format_chat, messages)
    for roles in (("user", "user", "assistant", "assistant"), ("user", "system", "system")):
        messages = [message(draw, role) for role in roles]  # nothing depends on who spoke before
        check_equal(student.format_chat(messages), laid_out(messages))


# ---------------------------------------------------------------- build_example


def ids_of(draw, n, low=10):
    return [draw.integers(low, 500) for _ in range(n)]


def built(prompt, response, eos, max_len):
    """Token by token."""
    ids, labels = [], []
    end = [] if response and response[-1] == eos else [eos]
    for token in prompt:
        ids.append(token)
        labels.append(-100)
    for token in [*response, *end]:
        ids.append(token)
        labels.append(token)
    ids, labels = ids[:max_len], labels[:max_len]
    if set(labels) <= {-100}:
        return None
    return {"input_ids": ids, "labels": labels}


def check_example(got, want):
    if want is None:
        if got is not None:
            raise Fail("None is expected when no label is left")
        return
    check_type(got, dict)
    check_equal(got, want)


@hidden(
    "build_example",
    "labels: -100 on the prompt, the ids on the response and one eos",
    weight=4,
    core=True,
    hint="Labels have the ids' length and are not shifted.",
)
def labelled(student, draw):
    for _ in range(4):
        eos = draw.integers(1, 9)
        prompt = ids_of(draw, draw.integers(1, 8))
        response = ids_of(draw, draw.integers(1, 8))
        check_example(student.build_example(prompt, response, eos, 99),
                      built(prompt, response, eos, 99))  # fmt: skip


@hidden(
    "build_example",
    "one eos: none is added to a response that ends in it, one to every other",
    weight=2,
    hint="Look at the last id of the response only.",
)
def one_eos(student, draw):
    eos = draw.integers(1, 9)
    prompt, body = ids_of(draw, 4), ids_of(draw, 5)
    for response in ([*body, eos], [eos, *body], [*body[:2], eos, *body[2:]], [eos], [],
                     [*body, eos, eos]):  # fmt: skip
        for asked in (prompt, [*prompt, eos]):
            check_example(student.build_example(asked, response, eos, 99),
                          built(asked, response, eos, 99))  # fmt: skip


@hidden(
    "build_example",
    "cut on the right to max_len, the eos too",
    weight=2.5,
    hint="Append the eos, then cut ids and labels alike.",
)
def cut(student, draw):
    eos = draw.integers(1, 9)
    prompt, response = ids_of(draw, draw.integers(3, 7)), ids_of(draw, draw.integers(3, 7))
    for ending in (response, [*response, eos]):
        for max_len in range(len(prompt) + 1, len(prompt) + len(response) + 3):
            check_example(student.build_example(prompt, ending, eos, max_len),
                          built(prompt, ending, eos, max_len))  # fmt: skip
    long = ids_of(draw, 2500)
    check_example(student.build_example(prompt, long, eos, 4096), built(prompt, long, eos, 4096))


@hidden(
    "build_example",
    "None only if no supervised token is left",
    weight=2,
    hint="After cutting: are all labels -100?",
)
def nothing_left(student, draw):
    eos = draw.integers(1, 9)
    prompt, response = ids_of(draw, draw.integers(3, 7)), ids_of(draw, 4)
    for max_len in (1, len(prompt) - 1, len(prompt), len(prompt) + 1):
        check_example(student.build_example(prompt, response, eos, max_len),
                      built(prompt, response, eos, max_len))  # fmt: skip
    check_example(student.build_example(prompt, [], eos, 50), built(prompt, [], eos, 50))
    check_example(student.build_example([], response, eos, 50), built([], response, eos, 50))
    zero = built(prompt, [0, 0], eos, len(prompt) + 1)  # the token 0 is a token
    check_example(student.build_example(prompt, [0, 0], eos, len(prompt) + 1), zero)
    check_example(student.build_example(prompt, response, 0, 50), built(prompt, response, 0, 50))
    check_example(student.build_example([], response, eos, 1), built([], response, eos, 1))


@hidden(
    "build_example",
    "lists of ints; the inputs are not modified, nor shared",
    weight=1.5,
    hint="list(response_ids) makes a copy before you append.",
)
def manners(student, draw):
    eos = draw.integers(1, 9)
    prompt, response = ids_of(draw, 3), ids_of(draw, 4)
    held = student.put(prompt), student.put(response)
    got = student.build_example(*held, eos, 50)
    for name in ("input_ids", "labels"):
        check_type(got[name], list)
        for number in got[name]:
            check_type(number, int)
    check_equal(student.value(held[0]), prompt, "prompt_ids after the call")
    check_equal(student.value(held[1]), response, "response_ids after the call")
    check_example(student.build_example(*held, eos, 50), built(prompt, response, eos, 50))
    for asked, max_len in (([], 50), (prompt, 2)):  # nothing before the response; nothing is left
        held = student.put(asked), student.put(response)
        student.build_example(*held, eos, max_len)
        check_equal(student.value(held[0]), asked, "prompt_ids after the call")
        check_equal(student.value(held[1]), response, "response_ids after the call")


# ---------------------------------------------------------------- collate


def examples_of(draw, lengths, eos):
    rows = []
    for n in lengths:
        masked = draw.integers(0, n)
        ids = [*ids_of(draw, n - 1), eos]
        rows.append({"input_ids": ids, "labels": [-100] * masked + ids[masked:]})
    return rows


def check_batch(got, rows, pad):
    check_type(got, dict)
    check_equal(set(got), {"input_ids", "labels", "attention_mask"}, "the keys")
    longest = max(len(row["input_ids"]) for row in rows)
    for name, value in got.items():
        check_type(value, torch.Tensor, name)
        if value.dtype != torch.int64:
            raise Fail(f"{name} is {value.dtype}, not int64")
        if tuple(value.shape) != (len(rows), longest):
            raise Fail(f"{name} has the wrong shape {tuple(value.shape)}")
    sides = []
    for right in (True, False):
        want = {"input_ids": [], "labels": [], "attention_mask": []}
        for row in rows:
            n = len(row["input_ids"])
            for name, real, fill in (("input_ids", row["input_ids"], pad),
                                     ("labels", row["labels"], -100),
                                     ("attention_mask", [1] * n, 0)):  # fmt: skip
                padding = [fill] * (longest - n)
                want[name].append([*real, *padding] if right else [*padding, *real])
        sides.append(want)
    lists = {name: value.tolist() for name, value in got.items()}
    if lists in sides:
        return
    for name in ("input_ids", "labels", "attention_mask"):
        if all(lists[name] != want[name] for want in sides):
            raise Fail(f"{name}: wrong values")
    raise Fail("the three are not padded on the same side")


@hidden(
    "collate",
    "ids, labels and mask of rows of different length, in order",
    weight=3,
    core=True,
    hint="Ids with pad_id, labels with -100, the mask with 0.",
)
def padded(student, draw):
    for lengths in ((5, 2, 7, 3), (2, 9), (4, 4, 4), (draw.integers(2, 9),)):
        pad, eos = draw.sample(range(1, 9), 2)
        rows = examples_of(draw, lengths, eos)
        check_batch(student.collate(rows, pad), rows, pad)


@hidden(
    "collate",
    "pad_id may be the eos, or any id of the text",
    weight=3,
    hint="The mask comes from the lengths; the real eos keeps its 1 and its label.",
)
def pad_is_eos(student, draw):
    eos = draw.integers(0, 9)
    rows = examples_of(draw, (6, 3, 4), eos)
    rows[0]["input_ids"][1] = eos
    rows[1] = {"input_ids": [12, eos, eos], "labels": [-100, eos, eos]}  # two that are learned
    check_batch(student.collate(rows, eos), rows, eos)
    pad = rows[2]["input_ids"][0]
    check_batch(student.collate(rows, pad), rows, pad)
    for end in (0, eos + 1):
        rows = examples_of(draw, (2, 5), end)
        check_batch(student.collate(rows, 0), rows, 0)


@hidden(
    "collate",
    "one token, many tokens, large ids, a row twice",
    weight=1,
    hint="T is the longest example, B the number of examples; ids stay as they are.",
)
def sizes(student, draw):
    for lengths in ((1,), (3, 2500)):
        rows = examples_of(draw, lengths, 9)
        check_batch(student.collate(rows, 9), rows, 9)
    rows = examples_of(draw, (5, 4), 151_643)
    rows[0]["input_ids"][0] = draw.integers(70_000, 150_000) | 1
    rows.append(rows[0])
    check_batch(student.collate(rows, 151_643), rows, 151_643)


@hidden(
    "collate",
    "rows that are all masked, and the examples unchanged",
    weight=1.5,
    hint="Make new lists; do not append to those of the examples.",
)
def unchanged(student, draw):
    rows = examples_of(draw, (3, 6), 7)
    rows[0]["labels"] = [-100] * 3
    held = student.put(rows)
    check_batch(student.collate(held, 1), rows, 1)
    check_equal(student.value(held), rows, "the examples after the call")
    check_batch(student.collate(held, 1), rows, 1)


# ---------------------------------------------------------------- sft_loss


def slow_sum(logits, labels):
    """(sum of the losses, number) over the supervised tokens, float64, differentiable."""
    total, count = logits.double().sum() * 0, 0
    for row in range(labels.shape[0]):
        for t in range(1, labels.shape[1]):
            if labels[row, t] != -100:
                scores = logits[row, t - 1].double()
                total = total + scores.logsumexp(0) - scores[labels[row, t]]
                count += 1
    return total, count


def slow_loss(logits, labels):
    total, count = slow_sum(logits, labels)
    return total / max(count, 1)


def labels_of(draw, batch, length, vocabulary):
    """Uneven: row i has i + 1 supervised tokens that something predicts, none of them token 0; the
    first position has a label too, which nothing predicts."""
    labels = torch.full((batch, length), -100)
    labels[0, 0], labels[0, length - 1] = draw.integers(1, vocabulary, 2)
    for row in range(1, batch):
        for t in draw.sample(range(1, length), min(length - 1, row + 1)):
            labels[row, t] = draw.integers(1, vocabulary)
    return labels


@hidden(
    "sft_loss",
    "mean cross-entropy over the supervised, shifted tokens",
    weight=4,
    core=True,
    hint="logits[:, :-1] against labels[:, 1:], the mean over tokens that are not -100.",
)
def shifted_mean(student, draw):
    for batch, length in ((3, 7), (2, 6), (1, 5), (4, 2)):
        vocabulary = draw.integers(5, 12)
        logits = 3 * draw.normal(batch, length, vocabulary)
        labels = labels_of(draw, batch, length, vocabulary)
        got = student.sft_loss(logits, labels)
        check_close(got, slow_loss(logits, labels).float())
    # Prompt, response, padding; the first row's response begins last, or there is none.
    for start in (6, 9):
        logits, labels = 3 * draw.normal(3, 9, 8), torch.full((3, 9), -100)
        for row, (a, b) in enumerate(((start, 9), (2, 8), (4, 6))):
            labels[row, a:b] = draw.integers(1, 8, b - a)
        got, want = student.sft_loss(logits, labels), slow_loss(logits, labels).float()
        check_close(got, want, what="rows whose responses begin at different places")


@hidden(
    "sft_loss",
    "the token 0 is a token; what the masked positions hold does not matter",
    weight=1.5,
    hint="Masked is -100 and nothing else.",
)
def only_minus_100(student, draw):
    logits = draw.normal(2, 6, 8)
    labels = torch.full((2, 6), -100)
    labels[0, 2], labels[0, 5], labels[1, 3] = 0, draw.integers(1, 8), 0
    check_close(student.sft_loss(logits, labels), slow_loss(logits, labels).float())
    changed = logits.clone()
    changed[0, 2:4] += 50 * draw.normal(2, 8)  # these predict masked tokens
    check_close(student.sft_loss(changed, labels), slow_loss(logits, labels).float())


@hidden(
    "sft_loss",
    "the gradient",
    weight=2,
    hint="Nothing may be detached; masked positions get exactly none.",
)
def gradient(student, draw):
    logits, labels = draw.normal(3, 6, 7), labels_of(draw, 3, 6, 7)
    got, grads = student.gradients("sft_loss", (logits, labels), wrt=(0,))
    leaf = logits.clone().requires_grad_(True)
    (want,) = torch.autograd.grad(slow_loss(leaf, labels), leaf)
    if grads[0] is None:
        raise Fail("no gradient reaches the logits")
    check_close(got, slow_loss(logits, labels).float())
    check_close(grads[0], want.float())


@hidden(
    "sft_loss",
    "everything masked: 0 with a grad_fn, and a gradient of zeros",
    weight=2.5,
    hint="The mean of nothing is 0/0. Divide a sum by at least 1.",
)
def all_masked(student, draw):
    first = torch.full((2, 5), -100)
    first[:, 0] = draw.integers(0, 6)  # a label that no position predicts
    for labels in (torch.full((2, 5), -100), first):
        logits = draw.normal(2, 5, 6)
        plain = student.sft_loss(logits, labels)
        check_type(plain, torch.Tensor)
        check_close(plain, torch.tensor(0.0), atol=1e-12)
        got, grads = student.gradients("sft_loss", (logits, labels), wrt=(0,))
        check_close(got, torch.tensor(0.0), atol=1e-12)
        if grads[0] is None:
            raise Fail("the loss has no grad_fn that leads to the logits")
        if grads[0].isnan().any() or grads[0].any():
            raise Fail("the gradient is not zero")
        half = student.sft_loss(logits.bfloat16(), labels)
        check_close(half, torch.tensor(0.0), atol=1e-12, what="from bfloat16 logits")


@hidden(
    "sft_loss",
    "float32 from bfloat16 logits; the arguments stay as they are",
    weight=2,
    hint="logits.float() before the cross-entropy.",
)
def half_precision(student, draw):
    labels, loss = labels_of(draw, 3, 6, 40), torch.zeros(())
    while (loss.bfloat16().float() - loss).abs() < 5e-4 * loss or not loss:  # none of bfloat16's
        logits = (4 * draw.normal(3, 6, 40)).bfloat16()
        loss = slow_loss(logits, labels).float()
    held = student.put(logits), student.put(labels)
    for _ in range(2):
        check_close(student.sft_loss(*held), loss)
    check_equal(student.value(held[1]), labels, "labels after the call")
    wide = draw.normal(3, 6, 40).double()
    check_close(student.sft_loss(wide, labels), slow_loss(wide, labels).float())
    many = draw.normal(1, 366, 5).bfloat16()  # more tokens than bfloat16 can count
    marks = draw.integers(1, 5, 1, 366)
    check_close(student.sft_loss(many, marks), slow_loss(many, marks).float())
    large = 200 * draw.normal(2, 4, 9)  # exp of these is not finite
    marks = labels_of(draw, 2, 4, 9)
    # Where every label is the likeliest token the loss is next to nothing, and float32 rounds
    # differences of logits of several hundred to some 1e-4.
    check_close(student.sft_loss(large, marks), slow_loss(large, marks).float(), atol=1e-3)


# ---------------------------------------------------------------- train_step


def tiny(draw, vocabulary=13):
    sizes = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1}
    config = LlamaConfig(vocab_size=vocabulary, num_attention_heads=2, **sizes)
    return draw.reset(LlamaForCausalLM(config), scale=0.8).eval()


def microbatch(draw, batch, length, supervised, vocabulary=13):
    """A batch padded on the left and right as collate may do, with `supervised` labels in all."""
    ids = draw.integers(0, vocabulary, batch, length)
    mask = torch.ones(batch, length, dtype=torch.int64)
    labels = torch.full((batch, length), -100)
    for row in range(1, batch):
        mask[row, length - row % 3 :] = 0
    places = [(r, t) for r in range(batch) for t in range(1, length) if mask[r, t]]
    for r, t in draw.sample(places, supervised):
        labels[r, t] = ids[r, t]
    labels[0, 0] = ids[0, 0]  # predicted by nothing: it must not be counted
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


def big_loss(model, batches):
    total, count = 0.0, 0
    for batch in batches:
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        one, n = slow_sum(logits, batch["labels"])
        total, count = total + one, count + n
    return total / count


def model_and_batches(draw, *sizes):
    """A model and microbatches (batch, length, supervised) whose losses differ: neither one of
    them nor their plain mean is the loss of all together."""
    while True:
        model, batches = tiny(draw), [microbatch(draw, *size) for size in sizes]
        with torch.no_grad():
            loss = big_loss(model, batches)
            losses = [
                big_loss(model, [b]) for b, size in zip(batches, sizes, strict=True) if size[2]
            ]
        if all(
            (other - loss).abs() > 0.02 * loss for other in (*losses, sum(losses) / len(losses))
        ):
            return model, batches


def stepped(model, batches, lr, frozen=()):
    """(loss, parameters after one step of SGD on the big batch)."""
    loss = big_loss(model, batches)
    names = [n for n, _ in model.named_parameters() if n not in frozen]
    values = dict(model.named_parameters())
    grads = torch.autograd.grad(loss, [values[n] for n in names])
    after = {n: p.detach().clone() for n, p in values.items()}
    for name, grad in zip(names, grads, strict=True):
        after[name] -= lr * grad
    return loss.item(), after


def make_sgd(student, handle, lr):
    # The generator stays in the student's process: a list of tensors would come back as copies.
    return student.put(torch.optim.SGD)(handle.parameters(), lr=lr)


def gradient_norm(student, handle):
    """Norm of all .grad of a module's parameters; 0 where there is none."""
    return float(student.put(torch.nn.utils.clip_grad_norm_)(handle.parameters(), math.inf))


def compare(student, handle, after):
    for name, (value, _) in student.parameters(handle).items():
        check_close(value, after[name], rtol=2e-3, what=f"after the step, {name}")


@hidden(
    "train_step",
    "one step, equal to one big batch, and its loss",
    weight=4,
    core=True,
    hint="Weigh each microbatch by its supervised (shifted) tokens over all of them.",
)
def as_one_batch(student, draw):
    lr = draw.uniform(0.2, 0.8)
    model, batches = model_and_batches(draw, (2, 7, 9), (3, 5, 2), (1, 6, 4))
    loss, after = stepped(model, batches, lr)
    handle = student.put(model)
    got = student.train_step(handle, make_sgd(student, handle, lr), batches)
    check_type(got, float)
    check_close(got, loss, rtol=1e-3, what="the returned loss")
    compare(student, handle, after)


@hidden(
    "train_step",
    "two steps in a row: no gradient is left over, stale ones are discarded",
    weight=3,
    hint="optimizer.zero_grad() at the start and at the end.",
)
def no_leftovers(student, draw):
    lr = 0.3
    model, batches = model_and_batches(draw, (2, 6, 5), (2, 5, 1))
    handle = student.put(model)
    optimizer = make_sgd(student, handle, lr)
    ids = microbatch(draw, 2, 6, 6)["input_ids"]
    output = student.keep(handle, input_ids=ids, labels=ids)
    student.attr(output, "loss").backward()
    if gradient_norm(student, handle) == 0:
        raise Fail("no gradient could be left in the model: it was changed")
    for _ in range(2):
        loss, after = stepped(model, batches, lr)
        check_close(student.train_step(handle, optimizer, batches), loss, rtol=1e-3)
        compare(student, handle, after)
        model.load_state_dict(after, strict=False)
    if gradient_norm(student, handle) != 0:
        raise Fail("gradients are left behind")


@hidden(
    "train_step",
    "microbatches without a supervised token are left out; with none at all it is 0.0",
    weight=2.5,
    hint="count == 0: skip it. total == 0: return 0.0 without a step.",
)
def empty_ones(student, draw):
    lr = 0.4
    model, batches = model_and_batches(draw, (2, 5, 0), (2, 6, 4), (1, 5, 0), (2, 5, 2))
    none = batches[0]
    loss, after = stepped(model, batches, lr)
    handle = student.put(model)
    optimizer = make_sgd(student, handle, lr)
    check_close(student.train_step(handle, optimizer, batches), loss, rtol=1e-3)
    compare(student, handle, after)
    for nothing in ([none], [none, microbatch(draw, 1, 4, 0)]):
        got = student.train_step(handle, optimizer, nothing)
        check_type(got, float)
        check_equal(got, 0.0)
        compare(student, handle, after)


@hidden(
    "train_step",
    "with momentum, weight decay and Adam: exactly one optimizer step",
    weight=2,
    hint="optimizer.step() once, after the last backward.",
)
def one_step_of_adam(student, draw):
    batches = [microbatch(draw, 2, 6, 5), microbatch(draw, 2, 5, 2), microbatch(draw, 1, 6, 3)]
    for make, options in (
        (torch.optim.AdamW, {"lr": 0.02, "eps": 1e-3, "weight_decay": 0.1}),
        (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    ):
        model = tiny(draw)
        handle = student.put(model)
        optimizer = student.put(make)(handle.parameters(), **options)
        mine = make(model.parameters(), **options)
        for _ in range(2):
            mine.zero_grad()
            big_loss(model, batches).backward()
            mine.step()
            student.train_step(handle, optimizer, batches)
        student.train_step(handle, optimizer, [microbatch(draw, 2, 4, 0)])  # this is no step
        compare(student, handle, {n: p.detach() for n, p in model.named_parameters()})


@hidden(
    "train_step",
    "only what requires a gradient changes, and stays so",
    weight=1.5,
    hint="Leave requires_grad alone.",
)
def frozen(student, draw):
    lr, keep = 0.5, "lm_head.weight"
    model, batches = model_and_batches(draw, (2, 6, 5), (2, 5, 2))
    chosen = [n for n, _ in model.named_parameters() if n != keep]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name == keep)
    loss, after = stepped(model, batches, lr, frozen=chosen)
    handle = student.put(model)
    got = student.train_step(handle, make_sgd(student, handle, lr), batches)
    check_close(got, loss, rtol=1e-3)
    compare(student, handle, after)
    for name, (_, trains) in student.parameters(handle).items():
        check_equal(trains, name == keep, f"requires_grad of {name}")
    decay = student.put(torch.optim.SGD)(handle.parameters(), lr=lr, weight_decay=0.2)
    student.train_step(handle, decay, batches)
    for name, (value, _) in student.parameters(handle).items():
        if name != keep:
            check_close(value, after[name], what=f"frozen, with weight decay: {name}")


@hidden(
    "train_step",
    "at most one microbatch at a time goes through the model, with its mask",
    weight=2.5,
    hint="model(input_ids=..., attention_mask=...) for each microbatch, backward at once.",
)
def one_at_a_time(student, draw):
    batches = [microbatch(draw, 3, 6, 7), microbatch(draw, 2, 6, 2), microbatch(draw, 3, 6, 3)]
    model = tiny(draw)
    model.spare = torch.nn.Linear(2, 2)  # takes no part in the loss
    handle, seen = student.put(model), []

    def note(*args, input_ids=None, attention_mask=None, **_):
        seen.append((args[0] if args else input_ids, args[1] if len(args) > 1 else attention_mask))

    student.observe(handle, note)
    student.train_step(handle, make_sgd(student, handle, 0.1), batches)
    if not seen:
        raise Fail("the model was not called")
    for ids, mask in seen:
        # A microbatch, or some of its rows.
        of = [b for b in batches if all(row in b["input_ids"].tolist() for row in ids.tolist())]
        if not of:
            raise Fail("what went through the model at once is not one microbatch")
        masked = [] if mask is None or mask.shape != ids.shape else torch.stack([ids, mask], 1)
        known = [torch.stack([b["input_ids"], b["attention_mask"]], 1).tolist() for b in of]
        if not len(masked) or not any(all(row in k for row in masked.tolist()) for k in known):
            raise Fail("the model was called without the microbatch's attention_mask")
    held = student.put(batches)
    student.train_step(handle, make_sgd(student, handle, 0.1), held)
    for value, batch in zip(student.value(held), batches, strict=True):
        check_equal(value, batch, "a microbatch after the call")


# ---------------------------------------------------------------- mask_conversation


class Encoder:
    """Ids 1000 and up for words and signs, 0 for the piece `zero`; never those of the markers."""

    def __init__(self, draw, zero=None):
        self.known, self.base = {zero: 0} if zero else {}, draw.integers(1000, 5000)
        numbers = draw.sample(range(1, 900), 4)
        self.special = dict(zip(MARKS, numbers, strict=True))

    def __call__(self, text):
        # A newline and the word at it are one piece: what is joined is encoded otherwise. Alone it
        # is two ids, as a tokenizer of bytes may give.
        pieces = []
        for piece in re.findall(r"\n?[a-zA-Z0-9]+\n?|.", text, re.DOTALL):
            pieces += ["\n", "the end of a newline"] if piece == "\n" else [piece]
        return [self.known.setdefault(p, self.base + len(self.known)) for p in pieces]


def masked(messages, encode):
    ids, learned = [], []
    for number, m in enumerate(messages):
        pieces = [(encode("\n"), False)] if number else []
        pieces.append(([encode.special["<|" + m["role"] + "|>"]], False))
        pieces.append((encode("\n"), False))
        pieces.append((encode(m["content"]), m["role"] == "assistant"))
        if m["role"] == "assistant":
            pieces.append(([encode.special["<|endoftext|>"]], True))
        for piece, flag in pieces:
            ids += piece
            learned += [flag] * len(piece)
    return ids, [i if flag else -100 for i, flag in zip(ids, learned, strict=True)]


def check_masked(student, draw, messages, zero=None):
    encode = Encoder(draw, zero)
    want = masked(messages, encode)
    got = student.mask_conversation(messages, encode.__call__, encode.special)
    check_type(got, (tuple, list))
    check_equal(len(got), 2, "the number of results")
    for value, expected, name in zip(got, want, ("input_ids", "labels"), strict=True):
        check_type(value, list, name)
        check_equal(value, expected, name)


@hidden(
    "mask_conversation",
    "ids in the layout of format_chat; every assistant's content and end are learned",
    weight=4,
    core=True,
    hint="Header, newline, content, marker: piece by piece, each learned or not.",
)
def conversation(student, draw):
    for turns, system in ((2, False), (4, True), (5, False), (5, True), (6, False)):
        check_masked(student, draw, talk(draw, turns, system))
    first, last = draw.sample(WORDS, 2)
    answer = {"role": "assistant", "content": f"{first} {last}"}
    for zero in (first, last):  # a token like any other
        check_masked(student, draw, [message(draw, "user"), answer], zero)


@hidden(
    "mask_conversation",
    "a text that quotes a marker is a text",
    weight=2,
    hint="Do not look for markers in the ids or in the text; you know which piece you add.",
)
def quoted(student, draw):
    messages = [
        {"role": "user", "content": f"{words(draw)} <|assistant|>\n{words(draw)}<|endoftext|>"},
        {"role": "assistant", "content": f"<|user|>\n{words(draw)}"},
        {"role": "user", "content": "<|endoftext|>"},
        {"role": "assistant", "content": f"{words(draw)}\n<|assistant|>"},
    ]
    check_masked(student, draw, messages)


@hidden(
    "mask_conversation",
    "system turns, two answers in a row, no answer, empty contents",
    weight=2,
    hint="Nothing depends on who spoke before.",
)
def odd_orders(student, draw):
    for roles in (("system",), ("assistant",), ("user", "assistant", "assistant"),
                  ("user", "user"), ("assistant", "system", "user")):  # fmt: skip
        check_masked(student, draw, [message(draw, role) for role in roles])
    empty = [{"role": r, "content": ""} for r in ("user", "assistant", "user")]
    check_masked(student, draw, empty)
    spaces = [{"role": r, "content": f" {words(draw)} \n"} for r in ("user", "assistant")]
    check_masked(student, draw, spaces)


# ---------------------------------------------------------------- prompt_gradient_norms


def norms(model, ids, labels):
    embedded = model.get_input_embeddings()(ids).detach().requires_grad_(True)
    loss = slow_loss(model(inputs_embeds=embedded).logits, labels)
    (grad,) = torch.autograd.grad(loss, embedded)
    return grad[0].norm(dim=1)


def gradient_case(draw):
    length = draw.integers(6, 11)
    ids = draw.integers(0, 13, 1, length)
    labels = ids.clone()
    labels[0, : length // 2] = -100
    model = tiny(draw)
    # Nothing is padded here: a token of the prompt that happens to be the eos is read as any other.
    model.config.eos_token_id = model.config.pad_token_id = ids[0, 1].item()
    return model, ids, labels


def check_norms(got, want):
    check_type(got, torch.Tensor)
    if tuple(got.shape) != tuple(want.shape):
        raise Fail(f"wrong shape {tuple(got.shape)}: one norm for each position is expected")
    check_close(got.float(), want, rtol=2e-3, dtype=False)


@hidden(
    "prompt_gradient_norms",
    "the norm of the loss's derivative by each input embedding",
    weight=4,
    core=True,
    hint="A leaf of embeddings, inputs_embeds=, torch.autograd.grad, the norm over the last axis.",
)
def per_position(student, draw):
    for _ in range(2):
        model, ids, labels = gradient_case(draw)
        got = student.prompt_gradient_norms(student.put(model), ids, labels)
        check_norms(got, norms(model, ids, labels))


@hidden(
    "prompt_gradient_norms",
    "it works on a frozen model and leaves the parameters as they were",
    weight=3,
    hint="torch.autograd.grad fills no .grad; requires_grad of the weights is not needed.",
)
def leaves_the_model(student, draw):
    model, ids, labels = gradient_case(draw)
    model.requires_grad_(False)
    model.model.layers[0].mlp.up_proj.weight.requires_grad_(True)
    handle = student.put(model)
    before = student.parameters(handle)
    got = student.prompt_gradient_norms(handle, ids, labels)
    check_norms(got, norms(model, ids, labels))
    for name, (value, trains) in student.parameters(handle).items():
        check_equal(trains, before[name][1], f"requires_grad of {name}")
        check_equal(value, before[name][0], name)
    if gradient_norm(student, handle) != 0:
        raise Fail("the .grad of a parameter was filled")
    output = student.keep(handle, input_ids=ids, labels=ids)
    student.attr(output, "loss").backward()
    there = gradient_norm(student, handle)
    student.prompt_gradient_norms(handle, ids, labels)
    check_close(gradient_norm(student, handle), there, what="the .grad that was there before")
    handle = student.put(model.requires_grad_(True))
    student.prompt_gradient_norms(handle, ids, labels)
    output = student.keep(handle, input_ids=ids, labels=ids)
    student.attr(output, "loss").backward()
    model(input_ids=ids, labels=ids).loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), math.inf)
    check_close(gradient_norm(student, handle), float(norm), rtol=1e-3, what="training after it")
    handle = student.put(model.bfloat16())
    before = student.parameters(handle)
    student.prompt_gradient_norms(handle, ids, labels)
    for name, (value, _) in student.parameters(handle).items():
        check_equal(value, before[name][0], f"{name} of a model in bfloat16")


@hidden(
    "prompt_gradient_norms",
    "nonzero on the prompt, zero at the last position and where nothing follows",
    weight=1,
    hint="The last token predicts nothing that has a label.",
)
def where_it_flows(student, draw):
    model, ids, labels = gradient_case(draw)
    labels[0, -2:] = -100
    got = student.prompt_gradient_norms(student.put(model), ids, labels)
    check_norms(got, norms(model, ids, labels))
    if got[-2:].abs().max() > 1e-6 * got.abs().max():
        raise Fail("a position that nothing depends on has a gradient")
