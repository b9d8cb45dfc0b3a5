"""What notebook 03 shows: the mask as a picture, and what masking, data and prompts do.

Rows, batches and steps are made by the student's functions, which are handed in.
"""

import copy
import random
import re
from typing import NamedTuple

import torch

from course_lib.device import fitting_threads
from course_lib.experiments.star import final_number, is_right, prompt_of
from course_lib.problems import make_problems
from course_lib.sampling import sample
from course_lib.show import html_text, show

MAX_LENGTH = 200
MAX_NEW_TOKENS = 100

# ---------------------------------------------------------------------------------- the mask view


def show_mask(tokenizer, input_ids: list[int], labels: list[int]) -> None:
    """Display a text token by token: learned ones boxed, masked ones plain and pale.

    Works with any tokenizer. ValueError if nothing is learned, or if a label is neither -100 nor
    its own token.
    """
    pairs = list(zip(input_ids, labels, strict=True))
    if all(label == -100 for label in labels):
        raise ValueError("every token is masked: the model would learn nothing from this text")
    if any(label not in (-100, token) for token, label in pairs):
        raise ValueError("labels must be -100 or the token itself, not shifted")
    body, plain = [], []
    for token, label in pairs:
        text = tokenizer.decode([token])
        visible = html_text(text.replace(" ", "·").replace("\n", "↵")) or "∅"
        newline = "<br>" if "\n" in text else ""
        if label == -100:
            style, mark = "opacity:.6", text
        else:
            style = "border:1px solid currentColor;border-radius:3px;font-weight:bold"
            mark = f"[{text}]"
        body.append(f'<span style="{style};padding:0 2px;margin:1px">{visible}</span>{newline}')
        plain.append(mark)
    learned = sum(label != -100 for label in labels)
    foot = f"{learned} of {len(labels)} tokens are learned (boxed)"
    style = "font-family:monospace;line-height:1.9"
    show(f'<div style="{style}">{"".join(body)}<br>{foot}</div>', "".join(plain) + f"\n{foot}")


def template_labels(tokenizer, messages: list[dict]) -> tuple[list[int], list[int]]:
    """(input_ids, labels) of a conversation in the tokenizer's own chat template.

    Learned is what the template adds when an assistant's turn is put behind the generation prompt.
    Needs a fast tokenizer. ValueError for a template whose beginning changes as turns are added.
    """

    def render(turns, prompt=False):
        return tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=prompt)

    full, spans = render(messages), []
    for i, message in enumerate(messages):
        if message["role"] == "assistant":
            before, after = render(messages[:i], True), render(messages[: i + 1])
            if not (after.startswith(before) and full.startswith(after)):
                raise ValueError("this chat template rewrites earlier turns: mask it by hand")
            spans.append((len(before), len(after)))
    coded = tokenizer(full, add_special_tokens=False, return_offsets_mapping=True)
    labels = [
        token if any(low <= begin and end <= high for low, high in spans) else -100
        for token, (begin, end) in zip(coded["input_ids"], coded["offset_mapping"], strict=True)
    ]
    return coded["input_ids"], labels


# ---------------------------------------------------------------------------------- training


class Tools(NamedTuple):
    """The student's functions."""

    build_example: object
    collate: object
    train_step: object


def encode_rows(tokenizer, tools: Tools, pairs, masked: bool = True) -> list[dict]:
    """(prompt, answer) texts as examples; masked=False learns the prompt as well."""
    rows = []
    for prompt, answer in pairs:
        prompt_ids, answer_ids = tokenizer.encode(prompt), tokenizer.encode(answer)
        if not masked:
            prompt_ids, answer_ids = [], prompt_ids + answer_ids
        row = tools.build_example(prompt_ids, answer_ids, tokenizer.eos_token_id, MAX_LENGTH)
        if row is not None:
            rows.append(row)
    return rows


def tune(base, tokenizer, tools: Tools, rows, steps: int, seed: int, lr=1e-3, batch=16):
    """A copy of `base` after `steps` optimizer steps on batches of `rows` drawn at random."""
    draw = random.Random(f"tune/{seed}")
    rows = sorted(rows, key=lambda row: len(row["input_ids"]))
    model = copy.deepcopy(base).requires_grad_(True).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    with fitting_threads(model):
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = lr * min(1, (step + 1) / 5) * (1 - step / steps)
            # Rows of like length are neighbours: little is spent on padding.
            begin = draw.randrange(max(1, len(rows) - batch))
            tools.train_step(
                model,
                optimizer,
                [tools.collate(rows[begin : begin + batch], tokenizer.pad_token_id)],
            )
    return model.eval()


# ---------------------------------------------------------------------------------- data


def clean_pairs(n: int, seed: int) -> list[tuple[str, str]]:
    """n (prompt, answer) pairs of training problems."""
    return [(prompt_of(p), p["answer"]) for p in make_problems(n, "train", seed)]


def sloppy_pairs(n: int, seed: int) -> list[tuple[str, str]]:
    """The same, written carelessly: four in ten have a wrong result, and three in ten end in
    "The answer is …" in place of ####."""
    draw = random.Random(f"sloppy/{seed}")
    pairs = []
    for prompt, answer in clean_pairs(n, seed):
        steps, number = answer.rpartition("\n#### ")[0], final_number(answer)
        if draw.random() < 0.4:
            number = str(int(number) + draw.choice([-10, -2, -1, 1, 2, 10]))
        end = f"The answer is {number}." if draw.random() < 0.3 else f"#### {number}"
        pairs.append((prompt, f"{steps}\n{end}"))
    return pairs


# ---------------------------------------------------------------------------------- measuring


class Score(NamedTuple):
    """Shares of test problems."""

    right: float  # ends in #### and the right number, and stops
    format: float  # ends in #### and a number, and stops


def judge(model, tokenizer, problems, prompts=None) -> Score:
    """Greedy answers to `prompts` (default: the training prompt of each problem), judged."""
    prompts = prompts or [prompt_of(p) for p in problems]
    with fitting_threads(model):
        texts = sample(model, tokenizer, prompts, 0, max_new_tokens=MAX_NEW_TOKENS)
    n = len(problems)
    right = sum(stop and is_right(text, p) for (text, stop), p in zip(texts, problems, strict=True))
    form = sum(stop and bool(re.fullmatch(r"[^#]*#### -?[\d,]+", text)) for text, stop in texts)
    return Score(right / n, form / n)


def few_shot(problems, shots) -> list[str]:
    """Prompts that show solved problems before each question."""
    shown = "".join(f"{p['question']}\n{p['answer']}\n\n" for p in shots)
    return [shown + prompt_of(p) for p in problems]
