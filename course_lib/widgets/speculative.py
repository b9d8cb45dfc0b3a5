"""The two widgets of notebook 06: what speculative decoding gains, which method to try first."""

# ruff: noqa: E501 - sentences

import traitlets

from course_lib.show import html_text
from course_lib.widgets import still
from course_lib.widgets.explorer import Explorer

# What to try first, from the cheapest to the dearest. The lecture's advice and what it leaves out.
SITUATIONS = [
    {
        "situation": "It nearly works, but the tone or the layout is not mine",
        "method": "A better prompt, with a few examples",
        "why": "The model can do it already. Nothing is cheaper to try, and it shows what is missing.",
        "cost": "An hour of yours; the examples' tokens in every request.",
        "instead": "SFT with LoRA on some hundred examples of the layout (notebooks 03 and 04).",
    },
    {
        "situation": "It lacks facts: my documents, prices, this week's news",
        "method": "Retrieval: put the facts into the context",
        "why": "Facts change and must be quoted; weights do neither well. "
        "Fine-tuning on facts teaches the model to sound sure.",
        "cost": "An index to keep up to date, and longer prompts.",
        "instead": "Continued pre-training on much text of the field: thousands of GPU hours, not ten.",
    },
    {
        "situation": "The output must always be valid JSON, or one of ten labels",
        "method": "Constrained decoding",
        "why": "A grammar that masks the next token makes it certain; training makes it likely.",
        "cost": "A library, and a little time per token.",
        "instead": "SFT beside it, so that what stands inside the valid form is right as well.",
    },
    {
        "situation": "I have 1,000 good answers and one GPU",
        "method": "SFT with LoRA, the loss on the answers only",
        "why": "Good examples of the habit you want are what SFT learns from; "
        "LoRA fits in the memory and forgets less.",
        "cost": "Minutes to hours on one GPU; a file of some megabytes. "
        "For 7B on 16 GB a 4-bit base (QLoRA).",
        "instead": "More and cleaner examples first, then a higher rank, then all weights.",
    },
    {
        "situation": "I have no answers, but a larger model that can do it",
        "method": "Distillation: its answers as data for SFT",
        "why": "Its outputs cost cents, human ones do not. Its distributions teach even more, "
        "if you can have them.",
        "cost": "Generating the data; the larger model's licence must allow it; its mistakes come along.",
        "instead": "Filter the answers with a verifier: then it is already half of expert iteration.",
    },
    {
        "situation": "It solves some problems; a program can check the answers",
        "method": "Expert iteration (STaR, RFT)",
        "why": "Sampling finds right answers that the model gives too seldom; "
        "the checked ones become its data (notebook 05).",
        "cost": "Sampling: many answers per problem and round. Right answers by wrong steps slip through.",
        "instead": "RL, which also learns from the wrong ones.",
    },
    {
        "situation": "Expert iteration has stopped gaining, or only a score is known",
        "method": "RL with that reward (PPO, GRPO)",
        "why": "It weighs good and bad answers, so it can also learn what to avoid.",
        "cost": "The dearest: sampling in every step, several models in memory, "
        "and days to find out how the reward is gamed.",
        "instead": "A better reward; a better base.",
    },
    {
        "situation": "People prefer one answer to another, but nobody can score them",
        "method": "Preference tuning (DPO)",
        "why": "It learns from pairs directly: no reward model, no sampling loop. Not in the lecture.",
        "cost": "Some thousand pairs; about twice the memory of SFT.",
        "instead": "A reward model and RL.",
    },
    {
        "situation": "It never solves the task, not once in a hundred tries",
        "method": "A stronger base model",
        "why": "Expert iteration and RL need something to select from: "
        "without one right answer there is no signal.",
        "cost": "More memory and time at every use.",
        "instead": "Easier problems first, demonstrations of the missing steps, or tools.",
    },
    {
        "situation": "The answers are right, but each user waits too long",
        "method": "Speculative decoding",
        "why": "The same distribution, in fewer calls of the large model: 2 to 3 times "
        "where the draft guesses well (this notebook).",
        "cost": "A second model in memory, trained on the same kind of text. No training of the target.",
        "instead": "Quantized weights, or distillation into a smaller target.",
    },
    {
        "situation": "The server is full: many users, cost per token counts",
        "method": "Batching, GQA or quantization; not speculative decoding",
        "why": "At a large batch the arithmetic is the limit, and checking guesses is extra work.",
        "cost": "Quantization: a loss of quality to be measured.",
        "instead": "Distil into a smaller model.",
    },
]


def speculative_explorer(alpha: float = 0.8, cost: float = 0.1, check: float = 0.02):
    """A widget: speedup by k for an acceptance `alpha`, a draft step of `cost` target steps, and
    `check` target steps for every further token that the target reads in a call.

    ValueError for a number outside 0..1.
    """
    for name, value in (("alpha", alpha), ("cost", cost), ("check", check)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be between 0 and 1, not {value!r}")
    return _Speculative(alpha=alpha, cost=cost, check=check)


def method_chooser(choice: int = 3):
    """A widget: a situation, the method to try first, why, and what it costs.

    choice: the situation shown at first; ValueError outside the list SITUATIONS.
    """
    if choice not in range(len(SITUATIONS)):
        raise ValueError(f"choice must be a whole number from 0 to {len(SITUATIONS) - 1}")
    return _Methods(situations=SITUATIONS, choice=choice)


class _Speculative(Explorer):
    alpha = traitlets.Float().tag(sync=True)
    cost = traitlets.Float().tag(sync=True)
    check = traitlets.Float().tag(sync=True)

    def __init__(self, **state):
        super().__init__("speculative", **state)

    def _still(self):
        return still.speculative(self.alpha, self.cost, self.check)


class _Methods(Explorer):
    situations = traitlets.List().tag(sync=True)
    choice = traitlets.Int().tag(sync=True)

    def __init__(self, **state):
        super().__init__("method_choice", **state)

    def _still(self):
        names = {"situation": "situation", "method": "try first", "why": "why", "cost": "cost"}
        head = "".join(f"<th style='text-align:left'>{text}</th>" for text in names.values())
        body = "".join(
            "<tr>" + "".join(f"<td>{html_text(s[name])}</td>" for name in names) + "</tr>"
            for s in self.situations
        )
        return {
            "text/plain": "\n".join(f"{s['situation']}: {s['method']}" for s in self.situations),
            "text/html": f"<table style='text-align:left'><tr>{head}</tr>{body}</table>",
        }
