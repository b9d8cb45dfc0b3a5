"""What the embedded base can do, before and after a short LoRA fine-tuning (about two minutes).

    python scripts/measure_base.py [--base course_lib/weights/tiny] [--demonstrations 300]

Held-out problems are of the split `test`, demonstrations of `train`; the base has read neither.
"""

import argparse
import copy
import random
import re
import time
from math import comb
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model

from course_lib.models import TINY, load_base
from course_lib.problems import make_problems
from course_lib.sampling import sample


def is_strict(text: str, stopped: bool) -> bool:
    """The format of the course: exactly one ``####``, the text ends in ``#### N``, then stops."""
    return stopped and text.count("####") == 1 and bool(re.search(r"#### \d+$", text))


def measure(model, tokenizer, problems, n=4, temperature=0.8, seed=0) -> dict:
    """Greedy accuracy and format rate, pass@1 and pass@n of n samples a problem, all strict."""
    prompts = [f"{p['question']}\n" for p in problems]
    finals = [p["answer"].rpartition("#### ")[2] for p in problems]

    def right(result, final):
        return is_strict(*result) and result[0].endswith(f"#### {final}")

    greedy = sample(model, tokenizer, prompts, temperature=0, max_new_tokens=110)
    drawn = sample(model, tokenizer, prompts * n, temperature, seed, max_new_tokens=110)
    counts = [
        sum(right(drawn[i + k * len(prompts)], finals[i]) for k in range(n))
        for i in range(len(prompts))
    ]
    size = len(problems)
    return {
        "greedy": sum(map(right, greedy, finals)) / size,
        "format": sum(is_strict(*r) for r in greedy) / size,
        "stop": sum(stopped for _, stopped in greedy) / size,
        "pass@1": sum(counts) / (n * size),
        f"pass@{n}": sum(1 - comb(n - c, n) / comb(n, n) for c in counts) / size,
    }


def fine_tune(base, tokenizer, pairs, epochs=6, lr=3e-3, batch=16, seed=0):
    """LoRA r=16 on all linear layers of a copy of `base`; (prompt, completion) pairs, the prompt
    masked. Returns the merged model."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(copy.deepcopy(base), config).train()
    rows = []
    for prompt, completion in pairs:
        asked, told = tokenizer.encode(prompt), tokenizer.encode(completion)
        rows.append((asked + told + [tokenizer.eos_token_id], len(asked)))
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=lr)
    steps, step = epochs * -(-len(rows) // batch), 0
    for _ in range(epochs):
        rng.shuffle(rows)
        for at in range(0, len(rows), batch):
            some = rows[at : at + batch]
            longest = max(len(ids) for ids, _ in some)
            ids = torch.tensor([i + [tokenizer.pad_token_id] * (longest - len(i)) for i, _ in some])
            labels = torch.full_like(ids, -100)
            for row, (i, asked) in enumerate(some):
                labels[row, asked : len(i)] = ids[row, asked : len(i)]
            logits = model(input_ids=ids, use_cache=False).logits
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
            loss.backward()
            optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
    return model.merge_and_unload().eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", type=Path, default=TINY)
    parser.add_argument("--demonstrations", type=int, default=300)
    parser.add_argument("--held-out", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    base, tokenizer = load_base("cpu", source=args.base)
    held_out = make_problems(args.held_out, "test")

    def show(name, model, begun, **kwargs):
        figures = "  ".join(
            f"{k} {v:.3f}" for k, v in measure(model, tokenizer, held_out, **kwargs).items()
        )
        print(f"{name:32s} {figures}  ({time.perf_counter() - begun:.0f} s)", flush=True)

    show("base, T=1", base, time.perf_counter(), n=16, temperature=1.0)
    begun = time.perf_counter()
    demonstrations = make_problems(args.demonstrations, "train")
    tuned = fine_tune(
        base, tokenizer, [(f"{p['question']}\n", p["answer"]) for p in demonstrations]
    )
    show(f"SFT on {args.demonstrations} demonstrations", tuned, begun)


if __name__ == "__main__":
    main()
