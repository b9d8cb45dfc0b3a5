"""Tokens per second of course_lib.sampling against transformers' generate, same model and prompts.

    python benchmarks/sampling.py [--profile cpu] [--prompts 256] [--pairs 3] [--threads 2]

generate runs with its default settings (sampling on, left padding) at several batch sizes; the
headline `vs_generate` compares with the best of them: the median of paired runs, theirs over ours,
as seconds per token.
"""

import argparse
import statistics
import time

import torch
from machine import machine, write_result

from course_lib.models import load_base
from course_lib.problems import make_problems
from course_lib.sampling import sample


def generate(model, tokenizer, prompts, batch_size, temperature, seed, max_new_tokens) -> int:
    """What a student would write: the number of new tokens, end tokens included."""
    torch.manual_seed(seed)
    tokens = 0
    for begin in range(0, len(prompts), batch_size):
        batch = tokenizer(
            prompts[begin : begin + batch_size],
            return_tensors="pt",
            padding=True,
            padding_side="left",
        ).to(model.device)
        out = model.generate(
            **batch,
            do_sample=True,
            temperature=temperature,
            top_k=0,
            max_new_tokens=max_new_tokens,
            pad_token_id=tokenizer.pad_token_id,
        )
        new = out[:, batch["input_ids"].shape[1] :]
        stops = (new == tokenizer.eos_token_id).int()
        # Up to and with the first end token; what follows is padding.
        tokens += int((stops.cumsum(1) - stops == 0).sum())
    return tokens


def ours(model, tokenizer, prompts, temperature, seed, max_new_tokens) -> int:
    results = sample(model, tokenizer, prompts, temperature, seed, max_new_tokens)
    return sum(len(tokenizer.encode(text)) + stopped for text, stopped in results)


def seconds_per_token(run, *args) -> float:
    begun = time.perf_counter()
    tokens = run(*args)
    return (time.perf_counter() - begun) / tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="cpu")
    parser.add_argument("--prompts", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--max-new-tokens", type=int, default=110)
    args = parser.parse_args()
    facts = machine("torch", "transformers")
    torch.set_num_threads(args.threads)
    model, tokenizer = load_base(args.profile)
    prompts = [f"{p['question']}\n" for p in make_problems(args.prompts, "test")]
    how = (args.temperature, 0, args.max_new_tokens)
    ours(model, tokenizer, prompts[:8], *how)  # warm up
    rows = {}
    for batch_size in (16, 64, 256):
        pairs = [
            (
                seconds_per_token(generate, model, tokenizer, prompts, batch_size, *how),
                seconds_per_token(ours, model, tokenizer, prompts, *how),
            )
            for _ in range(args.pairs)
        ]
        theirs, mine = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(t / o for t, o in pairs)
        rows[batch_size] = {
            "generate_tokens_per_s": round(1 / theirs, 1),
            "sample_tokens_per_s": round(1 / mine, 1),
            "ratio": round(ratio, 2),
        }
        print(
            f"generate, batch {batch_size:4d}: {1 / theirs:7.0f} tokens/s   "
            f"sample: {1 / mine:7.0f} tokens/s   ratio {ratio:.2f}",
            flush=True,
        )
    best = max(rows, key=lambda size: rows[size]["generate_tokens_per_s"])
    path = write_result(
        "sampling",
        {"vs_generate": rows[best]["ratio"]},
        by_generate_batch_size=rows,
        settings=vars(args),
        machine=facts,
    )
    print(f"vs_generate {rows[best]['ratio']} (generate at its best batch size, {best}): {path}")


if __name__ == "__main__":
    main()
