"""What notebook 05 measures: sampling, fine-tuning and scoring the small model, fast on one core.

The loop itself, and the filter in it, are the student's.
"""

import copy
import json
import random
import re
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F

from course_lib.device import one_thread
from course_lib.experiments.seeds import mean_and_half
from course_lib.problems import check_chain, equations
from course_lib.sampling import sample

MAX_NEW_TOKENS = 100  # the longest reference answer has 86


def final_number(answer: str) -> str:
    """What stands after the ``####`` of an answer."""
    return answer.rpartition("####")[2].strip().replace(",", "")


def is_right(text: str, problem: dict) -> bool:
    """The strict filter: one ``####``, nothing after its number, and the number is the right one.

    A text that runs on after its answer is wrong: a model that is trained on it would learn never
    to stop."""
    ends = re.fullmatch(r"[^#]*#### (-?[\d,]+)", text)
    return bool(ends) and final_number(text) == final_number(problem["answer"])


def prompt_of(problem: dict) -> str:
    """The training prompt of a problem."""
    return f"{problem['question']}\n"


def prompt_with_answer(problem: dict) -> str:
    """The prompt that shows the gold answer, for rationalization."""
    return f"{problem['question']} (The answer is {final_number(problem['answer'])}.)\n"


def generator(model, tokenizer, max_new_tokens: int = MAX_NEW_TOKENS):
    """generate(prompts, temperature, seed) -> one text per prompt."""

    def generate(prompts, temperature=0.8, seed=0):
        drawn = sample(model, tokenizer, prompts, temperature, seed, max_new_tokens)
        return [text for text, _ in drawn]

    return generate


# ---------------------------------------------------------------------------------- training


def _batches(rows: list, size: int, rng: random.Random):
    """Endless batches of rows of like length, so that little is spent on padding."""
    while True:
        order = rng.sample(range(len(rows)), len(rows))
        batches = []
        for begin in range(0, len(order), 8 * size):
            part = sorted(order[begin : begin + 8 * size], key=lambda i: len(rows[i][0]))
            batches += [part[at : at + size] for at in range(0, len(part), size)]
        rng.shuffle(batches)
        for batch in batches:
            yield [rows[i] for i in batch]


@one_thread()
def fine_tune(model, tokenizer, pairs, steps=100, lr=1e-3, batch=16, seed=0, rank=None):
    """A copy of `model` trained on (prompt, text) pairs, the prompt masked.

    steps: optimizer steps, whatever the number of pairs. rank: None trains all weights, a number
    trains LoRA of that rank on all linear layers and merges it (for models of a billion weights;
    take lr about 2e-4 there).
    """
    rows = []
    for prompt, text in pairs:
        asked = tokenizer.encode(prompt)
        told = [*tokenizer.encode(text), tokenizer.eos_token_id]
        rows.append((asked + told, len(asked)))
    batches = _batches(rows, batch, random.Random(f"fine_tune/{seed}"))
    model = copy.deepcopy(model)
    wrapped = _with_lora(model, rank, seed) if rank else model.requires_grad_(True)
    wrapped.train()
    trained = [p for p in wrapped.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=0.0)
    for step in range(steps):
        some = next(batches)
        longest = max(len(ids) for ids, _ in some)
        ids = torch.full((len(some), longest), tokenizer.pad_token_id)
        labels = torch.full((len(some), longest), -100)
        for row, (tokens, asked) in enumerate(some):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            labels[row, asked : len(tokens)] = ids[row, asked : len(tokens)]
        ids, labels = ids.to(model.device), labels[:, 1:].to(model.device)
        # Right padding needs no mask here: a real token never sees what comes after it.
        states = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        judged = labels != -100
        loss = F.cross_entropy(model.lm_head(states[judged]), labels[judged])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.param_groups[0]["lr"] = lr * min(1, (step + 1) / 10) * (1 - step / steps)
        optimizer.step()
        optimizer.zero_grad()
    return (wrapped.merge_and_unload() if rank else model).eval()


def _with_lora(model, rank, seed):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)  # puts its layers into `model` itself


# ---------------------------------------------------------------------------------- measuring


class Measured(NamedTuple):
    """Samples of held-out problems, counted."""

    n: int  # samples a problem
    right: list[int]  # right ones, for each problem
    false_positives: int  # right answers over a chain with a wrong equation, in all
    chains: float  # different chains of equations among the right ones, mean of solved problems

    @property
    def pass_at_1(self) -> float:
        return sum(self.right) / (self.n * len(self.right))

    @property
    def solved(self) -> float:
        """Share of problems with at least one right sample: pass@n."""
        return sum(c > 0 for c in self.right) / len(self.right)


def count(problems, samples) -> Measured:
    """Count samples[i], the texts for problems[i]."""
    right = [
        [t for t in texts if is_right(t, p)] for p, texts in zip(problems, samples, strict=True)
    ]
    chains = [len({tuple(equations(t)) for t in texts}) for texts in right if texts]
    return Measured(
        n=len(samples[0]),
        right=[len(texts) for texts in right],
        false_positives=sum(not check_chain(t) for texts in right for t in texts),
        chains=sum(chains) / max(1, len(chains)),
    )


def measure(model, tokenizer, problems, n=8, temperature=0.8, seed=0) -> Measured:
    """n samples of each of the held-out problems."""
    prompts = [prompt_of(p) for p in problems for _ in range(n)]
    texts = generator(model, tokenizer)(prompts, temperature, seed)
    return count(problems, [texts[i * n : (i + 1) * n] for i in range(len(problems))])


# ---------------------------------------------------------------------------------- recorded runs

RECORDED = Path(__file__).parent.parent / "recorded" / "05_star_runs.json"


def recorded() -> dict:
    """The runs of scripts/star_runs.py: "command", "settings" and "arms": arm -> round -> seed."""
    return json.loads(RECORDED.read_text(encoding="utf-8"))


def curve(arm: dict, figure: str = "pass@1") -> tuple[list, list, list]:
    """(rounds, means, half widths of 95% t-intervals over seeds) of one arm of `recorded`."""
    rounds, means, halves = [], [], []
    for name, seeds in arm.items():
        mean, half = mean_and_half([seed[figure] for seed in seeds.values()])
        rounds.append(int(name))
        means.append(mean)
        halves.append(half)
    return rounds, means, halves


# ---------------------------------------------------------------------------------- larger models


def vllm_generator(model, tokenizer, folder, max_new_tokens: int = 320):
    """`generator` by vLLM, for a GPU: the model is saved to `folder` and served from there.

    Needs `pip install vllm` and CUDA; not run on the course's own machines. A fine-tuned model
    needs a new one. Texts without the end-of-text token, as from `generator`.
    """
    from vllm import LLM, SamplingParams

    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    engine = LLM(str(folder), gpu_memory_utilization=0.4)

    def generate(prompts, temperature=0.8, seed=0):
        options = SamplingParams(temperature=temperature, seed=seed, max_tokens=max_new_tokens)
        return [done.outputs[0].text for done in engine.generate(prompts, options, use_tqdm=False)]

    return generate
