"""Train the target and the draft of notebook 06: about half an hour on one core.

    python scripts/train_pair.py target [--steps 300]     # grows weights/tiny to 16 layers
    python scripts/train_pair.py draft [--steps 900]     # 1 layer; half copies the target

The target is deep and narrow on purpose. On a CPU one decoding step of a small model costs about
the same for every layer, whatever its width, so a deep target and a shallow draft stand to each
other in time as 70 B and 7 B do on a GPU, and checking k + 1 tokens costs little more than one.

Target: the layers of weights/tiny, each followed by new layers that at first change nothing (their
output matrices are zero), then all of it is trained on, on the documents of scripts/train_base.py.
Draft: from nothing; half of its steps read the documents, half copy the target's distributions.

Beside the weights: provenance.json and training_log.csv. The state is saved every 50 steps in
--state; a run that was stopped goes on from there.
"""

import argparse
import copy
import hashlib
import math
import platform
import time
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from train_base import Muon, rows, save
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "course_lib" / "weights"
BATCH, LENGTH = 6, 384


def blank(base, layers: int) -> LlamaForCausalLM:
    """A Llama like `base` with so many layers and one key/value head per query head."""
    config = copy.deepcopy(base.config)
    config.num_hidden_layers = layers
    config.layer_types = None
    config.num_key_value_heads = config.num_attention_heads
    return LlamaForCausalLM(config)


def grow(base, factor: int) -> LlamaForCausalLM:
    """`base` with `factor` times as many layers, computing the same function at first."""
    model = blank(base, factor * base.config.num_hidden_layers)
    shared = base.config.num_attention_heads // base.config.num_key_value_heads
    width = base.config.head_dim
    with torch.no_grad():
        model.model.embed_tokens.load_state_dict(base.model.embed_tokens.state_dict())
        model.model.norm.load_state_dict(base.model.norm.state_dict())
        for i, layer in enumerate(model.model.layers):
            if i % factor:
                layer.self_attn.o_proj.weight.zero_()
                layer.mlp.down_proj.weight.zero_()
                continue
            state = base.model.layers[i // factor].state_dict()
            for name in ("self_attn.k_proj.weight", "self_attn.v_proj.weight"):
                heads = state[name].view(-1, width, state[name].shape[1])
                state[name] = heads.repeat_interleave(shared, 0).flatten(0, 1)
            layer.load_state_dict(state)
    return model


def optimizers(model, muon: float, adam: float) -> list[torch.optim.Optimizer]:
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim < 2 or "embed" in n]
    return [Muon(matrices, lr=muon), torch.optim.AdamW(others, lr=adam, betas=(0.9, 0.95))]


def train(model, tokenizer, steps: int, seed: int, lrs, state_file: Path, teacher=None):
    """Next-token training; with a teacher, the last half of the steps copies its distributions."""
    digest = hashlib.sha256()
    source = rows(tokenizer, seed, LENGTH, digest)
    opts = optimizers(model, *lrs)
    full = [opt.param_groups[0]["lr"] for opt in opts]
    first, log, before, recent = 0, [], 0.0, []
    if state_file.exists():
        state = torch.load(state_file, weights_only=False)
        first, log, before = state["step"], state["log"], state["seconds"]
        model.load_state_dict(state["model"])
        for opt, saved in zip(opts, state["optimizers"], strict=True):
            opt.load_state_dict(saved)
        for _ in range(first * BATCH):
            next(source)
    begun = time.perf_counter()
    for step in range(first, steps):
        ids = torch.tensor([next(source) for _ in range(BATCH)])
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        if teacher is not None and step >= steps // 2:
            with torch.inference_mode():
                wanted = teacher(input_ids=ids[:, :-1], use_cache=False).logits.softmax(-1)
            loss = -(wanted.clone() * logits.log_softmax(-1)).sum(-1).mean()
        else:
            loss = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        for opt, lr in zip(opts, full, strict=True):
            share = min((step + 1) / 20, 1.0, (steps - step) / (steps * 0.5))
            opt.param_groups[0]["lr"] = lr * share
            opt.step()
            opt.zero_grad()
        recent.append(loss.item())
        if not math.isfinite(recent[-1]):
            raise SystemExit(f"the loss is {recent[-1]} at step {step}: lower the learning rates")
        if (step + 1) % 20 == 0:
            seconds = before + time.perf_counter() - begun
            log.append((step + 1, sum(recent) / len(recent), seconds))
            recent = []
            print(f"step {step + 1}/{steps}  loss {log[-1][1]:.4f}  {seconds:.0f} s", flush=True)
            state_file.parent.mkdir(parents=True, exist_ok=True)
            torch.save(
                {
                    "step": step + 1,
                    "log": log,
                    "seconds": seconds,
                    "model": model.state_dict(),
                    "optimizers": [opt.state_dict() for opt in opts],
                },
                state_file,
            )
    return log, digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", choices=["target", "draft"])
    parser.add_argument("--steps", type=int)
    parser.add_argument("--layers", type=int, default=1, help="of the draft")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--state", type=Path, default=ROOT / ".train_pair")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    tiny = WEIGHTS / "tiny"
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    base = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    if args.which == "target":
        steps, teacher, lrs = args.steps or 300, None, (0.01, 0.001)
        model, seed = grow(base, 4), 1000 + args.seed
        command = f"python scripts/train_pair.py target --steps {steps} --seed {args.seed}"
        start = "weights/tiny grown from 4 to 16 layers"
    else:
        steps, lrs = args.steps or 900, (0.02, 0.004)
        teacher = AutoModelForCausalLM.from_pretrained(args.out / "target", dtype=torch.float32)
        model, seed = blank(base, args.layers), 2000 + args.seed
        command = (
            f"python scripts/train_pair.py draft --steps {steps} "
            f"--layers {args.layers} --seed {args.seed}"
        )
        start = "nothing; the last half of the steps copies the target's distributions"
    name = f"{args.which}{args.layers if args.which == 'draft' else ''}-{args.seed}.pt"
    log, digest = train(model, tokenizer, steps, seed, lrs, args.state / name, teacher)
    provenance = {
        "command": command,
        "start": start,
        "parameters": sum(p.numel() for p in model.parameters()),
        "tokens": steps * BATCH * LENGTH,
        "data": "course_lib.problems, split pretrain, in the styles of scripts/train_base.py",
        "data_sha256": digest,
        "final_loss": round(log[-1][1], 4) if log else None,
        "seconds": round(log[-1][2]) if log else None,
        "threads": args.threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "licence": "Apache-2.0, as the repository",
    }
    save(model.to(torch.bfloat16), tokenizer, log, provenance, args.out / args.which)
    print(f"{args.out / args.which}: {provenance['parameters']:,} parameters")


if __name__ == "__main__":
    main()
