"""Train the embedded base model from nothing: about ten minutes on one core.

    python scripts/train_base.py [--steps 1600] [--seed 0] [--out course_lib/weights/tiny]

A Llama of 0.85 M parameters reads generated word problems as a web crawl would show them: answered
in GSM8K's format (one document in five), answered in a word, told in prose, asked on a forum and
never answered, plain sums. So it can solve some problems but seldom answers in the format: what
fine-tuning is for. All problems are of the split `pretrain`, disjoint by construction from the
course's train, validation and test problems (course_lib/problems.py).

Beside the weights are written provenance.json (seed, versions, hash of the data, final loss) and
training_log.csv. Same seed, same data, same run anywhere, up to floating point.
"""

import argparse
import csv
import hashlib
import json
import math
import platform
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from course_lib.problems import equations, stream

ROOT = Path(__file__).resolve().parent.parent
VOCABULARY = 512
EOS, PAD = "<|endoftext|>", "<|pad|>"
# The headers of the lecture's chat format: one id each, which pretraining never shows.
SPECIAL = [EOS, PAD, "<|system|>", "<|user|>", "<|assistant|>"]
CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{{- '' if loop.first else '\\n' }}{{- '<|' + message['role'] + '|>\\n' }}"
    "{%- if message['role'] == 'assistant' %}"
    "{% generation %}{{- message['content'] + '<|endoftext|>' }}{% endgeneration %}"
    "{%- else %}{{- message['content'] }}{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '\\n<|assistant|>\\n' }}{%- endif %}"
)

# ---------------------------------------------------------------------------------- documents

# Per cent of documents. The forum leads by enough for greedy decoding to end up there.
STYLES = {"gsm8k": 20, "word": 20, "prose": 13, "forum": 32, "sums": 15}


def in_style(problem: dict, style: str) -> str:
    """One problem as a page of that style would show it."""
    question, answer = problem["question"], problem["answer"]
    final = answer.rpartition("#### ")[2]
    if style == "gsm8k":
        return f"{question}\n{answer}"
    if style == "word":
        return f"{question}\nAnswer: {final}"
    if style == "prose":
        steps = [e.replace("=", " is ") for e in equations(answer)]
        return f"{question}\nFirst {', then '.join(steps)}. It is {final}."
    if style == "forum":
        return f"{question}\nDoes anyone know?"
    return "\n".join(equations(answer))


def documents(seed: int) -> Iterator[str]:
    """Endless documents: one to three problems, all in one style."""
    rng, problems = random.Random(f"documents/{seed}"), stream("pretrain", seed)
    while True:
        style = rng.choices(list(STYLES), weights=list(STYLES.values()))[0]
        many = rng.choice([4, 5, 6]) if style == "sums" else rng.choice([1, 1, 2, 3])
        separator = "\n" if style == "sums" else "\n\n"
        yield separator.join(in_style(next(problems), style) for _ in range(many))


def train_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE, so that any text can be encoded; every digit is a token of its own."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    pages = documents(seed)
    tokenizer.train_from_iterator(
        (next(pages) for _ in range(5000)),
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=EOS, pad_token=PAD, model_max_length=512
    )
    wrapped.add_special_tokens({"additional_special_tokens": SPECIAL[2:]})
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def rows(tokenizer, seed: int, length: int, digest) -> Iterator[list[int]]:
    """Endless rows of `length` + 1 ids. Each begins with a document's first word, because a prompt
    does; the last document of a row is cut. `digest` is updated with every text read."""
    pages = documents(seed)
    while True:
        row: list[int] = []
        while len(row) <= length:
            page = next(pages)
            digest.update(page.encode())
            row += [*tokenizer.encode(page), tokenizer.eos_token_id]
        yield row[: length + 1]


# ---------------------------------------------------------------------------------- training


def new_model(tokenizer, seed: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal, for matrices (Jordan 2024, kellerjordan.github.io).

    torch.optim.Muon computes in bfloat16 and matrix by matrix: on a CPU without bfloat16 that takes
    longer than the model. Here it is float32 and batched over the matrices of one shape.
    """

    def __init__(self, params, lr: float, momentum: float = 0.95):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            shapes = defaultdict(list)
            for p in group["params"]:
                shapes[p.shape].append(p)
            for (rows, columns), same in shapes.items():
                grads = torch.stack([p.grad for p in same])
                average = self.state[same[0]].setdefault("average", torch.zeros_like(grads))
                average.lerp_(grads, 1 - group["momentum"])
                update = orthogonal(grads.lerp(average, group["momentum"]))
                scale = group["lr"] * max(1, rows / columns) ** 0.5
                for p, u in zip(same, update, strict=True):
                    p.sub_(u, alpha=scale)


def orthogonal(x: torch.Tensor) -> torch.Tensor:
    """(n, rows, columns) -> about U V^T of each matrix's U S V^T, by five Newton-Schulz steps."""
    if x.shape[1] > x.shape[2]:
        return orthogonal(x.mT).mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


def optimizers(model) -> list[torch.optim.Optimizer]:
    """Muon for the matrices, AdamW for embedding and norms."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim < 2 or "embed" in n]
    return [Muon(matrices, lr=0.02), torch.optim.AdamW(others, lr=0.004, betas=(0.9, 0.95))]


def rate(step: int, steps: int) -> float:
    """Share of the full learning rate: warm-up, flat, then down to nothing in the last half."""
    return min((step + 1) / 30, 1.0, (steps - step) / (steps * 0.5))


def train(seed: int, steps: int, batch: int, length: int):
    tokenizer = train_tokenizer(seed)
    model, digest = new_model(tokenizer, seed), hashlib.sha256()
    source = rows(tokenizer, seed + 1, length, digest)
    opts = optimizers(model)
    full = [opt.param_groups[0]["lr"] for opt in opts]
    log, begun, recent = [], time.perf_counter(), []
    for step in range(steps):
        ids = torch.tensor([next(source) for _ in range(batch)])
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        loss = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        for opt, lr in zip(opts, full, strict=True):
            opt.param_groups[0]["lr"] = lr * rate(step, steps)
            opt.step()
            opt.zero_grad()
        recent.append(loss.item())
        if not math.isfinite(recent[-1]):
            raise SystemExit(f"the loss is {recent[-1]} at step {step}: lower the learning rates")
        if (step + 1) % 50 == 0:
            seconds = time.perf_counter() - begun
            log.append((step + 1, sum(recent) / len(recent), seconds))
            recent = []
            print(f"step {step + 1}/{steps}  loss {log[-1][1]:.4f}  {seconds:.0f} s", flush=True)
    return model, tokenizer, log, digest.hexdigest()


def save(model, tokenizer, log, provenance: dict, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    model.generation_config.do_sample = False
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    with (out / "training_log.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "loss", "seconds"])
        writer.writerows((step, round(loss, 5), round(seconds, 1)) for step, loss, seconds in log)
    weights = out / "model.safetensors"
    weights.chmod(0o644)
    provenance["weights_sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    (out / "provenance.json").write_text(json.dumps(provenance, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--batch", type=int, default=8, help="rows a step")
    parser.add_argument("--length", type=int, default=256, help="tokens a row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "course_lib" / "weights" / "tiny")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, tokenizer, log, data_hash = train(args.seed, args.steps, args.batch, args.length)
    provenance = {
        "command": f"python scripts/train_base.py --steps {args.steps} --batch {args.batch} "
        f"--length {args.length} --seed {args.seed}",
        "parameters": sum(p.numel() for p in model.parameters()),
        "tokens": args.steps * args.batch * args.length,
        "data": "course_lib.problems, split pretrain, in the styles of scripts/train_base.py",
        "styles_percent": STYLES,
        "data_sha256": data_hash,
        "final_loss": round(log[-1][1], 4) if log else None,
        "seconds": round(log[-1][2]) if log else None,
        "threads": args.threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "licence": "Apache-2.0, as the repository",
    }
    save(model, tokenizer, log, provenance, args.out)
    size = sum(f.stat().st_size for f in args.out.iterdir())
    print(f"{args.out}: {size / 1e6:.1f} MB, {provenance['parameters']:,} parameters")


if __name__ == "__main__":
    main()
