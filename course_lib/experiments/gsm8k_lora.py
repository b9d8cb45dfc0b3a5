"""What notebook 04 shows around the run: its settings, the curve, the tables.

The trainer, the judging of answers and what is written are the student's.
"""

import io
import random
import re
import time
from typing import NamedTuple

import torch

from course_lib.device import peak_memory
from course_lib.experiments.lora_parameters import Rows, encode, mean_loss, train
from course_lib.pictures import LINES
from course_lib.show import html_text, show

# A run by profile: optimizer steps of `batch` examples, test problems, tokens of an answer. Tiny
# models bear, and need, a higher learning rate. "gpu" is the lecture's run: three epochs.
# compare: (steps, seeds) of each method in the comparison, which on a CPU takes a while.
RUNS = {
    "cpu": {"steps": 120, "batch": 8, "learning_rate": 3e-3, "test": 120, "new_tokens": 100,
            "compare": (60, 3)},
    "smollm2": {"steps": 200, "batch": 4, "learning_rate": 2e-4, "test": 100, "new_tokens": 256,
                "compare": (20, 1)},
    "gpu": {"steps": 1312, "batch": 16, "learning_rate": 2e-4, "test": 1319, "new_tokens": 320,
            "compare": (200, 1)},
}  # fmt: skip

# The two filters of lm-evaluation-harness for gsm8k (tasks/gsm8k/gsm8k.yaml).
HARNESS_STRICT = re.compile(r"#### (\-?[0-9\.\,]+)")
HARNESS_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")


def harness(text: str, mode: str) -> str | None:
    """What lm-evaluation-harness takes as the answer, a text as it stands there; None: nothing.

    mode: "strict" is the first match of its strict-match, "flexible" the last of flexible-extract.
    """
    pattern = HARNESS_STRICT if mode == "strict" else HARNESS_FLEXIBLE
    found = [next(g for g in match.groups() if g) for match in pattern.finditer(text)]
    if not found:
        return None
    return found[0] if mode == "strict" else found[-1]


def watch(trainer) -> None:
    """Draw the loss as it comes, in one picture that is replaced, instead of printing lines."""
    from transformers import PrinterCallback, TrainerCallback

    total = trainer.args.max_steps

    class Curve(TrainerCallback):
        def __init__(self):
            self.steps, self.losses, self.handle = [], [], None

        def on_log(self, args, state, control, logs=None, **kwargs):
            if "loss" in (logs or {}):
                self.steps.append(state.global_step)
                self.losses.append(float(logs["loss"]))
                self.draw()

        def draw(self):
            from IPython.display import Image, display

            # An Image shows in every front end; a Figure only once pyplot has been set up.
            picture = Image(loss_picture(self.steps, self.losses, total))
            if self.handle is None:
                self.handle = display(picture, display_id=True)
            elif self.handle:
                self.handle.update(picture)

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Curve())


def loss_picture(steps, losses, total) -> bytes:
    """The loss by step as a PNG, the x axis up to the end of the run."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(7.5, 2.6), layout="constrained", facecolor="white")
    axis = fig.subplots()
    axis.plot(steps, losses, **LINES[0])
    last = f", last {losses[-1]:.3f}" if losses else ""
    axis.set(
        xlabel="optimizer step",
        ylabel="loss",
        xlim=(0, total),
        title=f"step {steps[-1] if steps else 0} of {total}{last}",
    )
    axis.spines[["top", "right"]].set_visible(False)
    png = io.BytesIO()
    fig.savefig(png, format="png")
    return png.getvalue()


def side_by_side(rows: list[tuple[str, str, str, str]]) -> None:
    """Show (question, before, after, verdict), one under the other, the answers side by side."""
    cell = "vertical-align:top;text-align:left;white-space:pre-wrap;padding:4px 12px;width:45%"
    body, plain = [], []
    for question, before, after, verdict in rows:
        body.append(
            f'<tr><td colspan="2" style="{cell};padding-top:14px"><b>{html_text(question)}</b>'
            f"<br>{html_text(verdict)}</td></tr>"
            f'<tr><td style="{cell}">{html_text(before)}</td>'
            f'<td style="{cell};border-left:1px solid currentColor">{html_text(after)}</td></tr>'
        )
        plain.append(f"{question}\n[{verdict}]\n--- before\n{before}\n--- after\n{after}\n")
    head = f'<tr><th style="{cell}">before</th><th style="{cell}">after</th></tr>'
    show(f'<table style="width:100%">{head}{"".join(body)}</table>', "\n".join(plain))


def show_intervals(results: dict[str, dict]) -> None:
    """Draw before and after with their intervals, one panel for each run in `results`."""
    from course_lib.pictures import figure

    names = ("strict", "flexible", "no_answer", "stop_rate")
    fig, axes = figure(columns=len(results), width=4.2 * len(results), height=2.9)
    for axis, (title, result) in zip(fig.axes, results.items(), strict=True):
        for shift, (phase, style) in enumerate(zip(("before", "after"), LINES, strict=False)):
            shares = [result[phase][n] for n in names]
            ends = [result[phase]["intervals"][n] for n in names]
            errors = [
                [max(0, s - low) for s, (low, _) in zip(shares, ends, strict=True)],
                [max(0, high - s) for s, (_, high) in zip(shares, ends, strict=True)],
            ]
            places = [i + 0.2 * shift - 0.1 for i in range(len(names))]
            axis.errorbar(
                places, shares, errors, label=phase, capsize=4,
                color=style["color"], marker=style["marker"], linestyle="none",
            )  # fmt: skip
        axis.set_xticks(range(len(names)), [n.replace("_", " ") for n in names])
        axis.set(ylim=(-0.03, 1.03), title=f"{title}, n = {result['n']}")
    axes = fig.axes
    axes[0].legend(frameon=False)


def trainable(model) -> int:
    """Number of trained parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def largest_difference(a, b) -> float:
    """Largest absolute difference of two tensors, in float32."""
    return (a.float() - b.float()).abs().max().item()


def attempt(label: str, function) -> list[str]:
    """[label, the error that `function` ends in, in short] or [label, "works"]."""
    try:
        function()
    except Exception as error:
        text = " ".join(str(error).split())
        return [label, f"{type(error).__name__}: {text[:100]}{'…' if len(text) > 100 else ''}"]
    return [label, "works"]


class Method(NamedTuple):
    """One way to fine-tune, measured."""

    name: str
    trained: int  # parameters
    seconds: float  # of all steps
    peak: float  # MiB above the model: activations, gradients, optimizer
    new: float  # loss on held-out answers, nats a token
    old: float  # loss on held-out questions, which no step has judged


def compare_methods(load, tokenizer, data, steps: int, batch: int, seed: int = 0) -> list[Method]:
    """Full fine-tuning, LoRA and prompt tuning on the same rows for the same number of steps.

    load: function () -> a fresh base model
    """
    from peft import LoraConfig, PromptTuningConfig, get_peft_model

    attention = ["q_proj", "k_proj", "v_proj", "o_proj"]
    lora = LoraConfig(r=16, lora_alpha=32, target_modules=attention, task_type="CAUSAL_LM")
    prompt = PromptTuningConfig(num_virtual_tokens=8, task_type="CAUSAL_LM")
    small = load().num_parameters() < 10e6  # small models bear, and need, higher learning rates
    methods = {
        "before training": (None, 0.0),
        "all weights": (lambda m: m.requires_grad_(True), 1e-3 if small else 2e-5),
        "LoRA, r = 16": (lambda m: get_peft_model(m, lora), 3e-3 if small else 2e-4),
        "prompt tuning, 8 tokens": (lambda m: get_peft_model(m, prompt), 0.3 if small else 0.03),
    }
    end = tokenizer.eos_token

    def rows(problems, judged):
        pairs = [(f"{p['question']}\n", p["answer"] + end) for p in problems]
        pairs = pairs if judged == "answer" else [("", question) for question, _ in pairs]
        return encode(tokenizer, pairs)

    drawn = random.Random(f"methods/{seed}").sample(data.train, min(len(data.train), 1000))
    held_out = data.validation[: 64 if small else 24]
    parts = rows(drawn, "answer"), *(rows(held_out, judged) for judged in ("answer", "question"))
    found = []
    for name, (wrap, lr) in methods.items():
        torch.manual_seed(seed)
        model = load()
        train_rows, new, old = (Rows(*(t.to(model.device) for t in part)) for part in parts)
        trained, seconds, peak = 0, 0.0, None
        if wrap:
            model = wrap(model)
            trained = trainable(model)
            with peak_memory(model.device) as peak:
                begun = time.perf_counter()
                train(model, train_rows, lr, steps, seed, batch)
                seconds = time.perf_counter() - begun
        above = (peak.bytes or 0) / 2**20 if peak else 0.0
        losses = mean_loss(model, new), mean_loss(model, old)
        found.append(Method(name, trained, seconds, above, *losses))
    return found
