"""Before a long run: will it fit in the memory of this device, how long will it take?

    plan = preflight(model, lengths, steps=120)  # measures two small batches
    print(plan)
    trainer = make_trainer(model, ..., **plan.settings)

Two batches of different size are really run, forward and backward, and the memory and the time
above that of the model are fitted by a line in the number of tokens. The batch that is picked is
the largest power of two that fits into a share of what is free; the rest of the wanted batch comes
from accumulation, so the result of the training does not depend on the device.
"""

import math
import time
from typing import NamedTuple

from course_lib.device import available_memory, fitting_threads, free_memory, peak_memory
from course_lib.quiet import quiet

SHARE = 0.8  # of the free memory; the rest is for what the prediction misses


class Plan(NamedTuple):
    """What a run will need here."""

    micro_batch: int  # examples at once
    accumulation: int  # micro batches in an optimizer step
    checkpointing: bool  # recompute activations: about a third more time, less memory
    peak_bytes: int  # predicted peak, the model included
    free_bytes: int | None  # what the device had; None where it does not say
    seconds: float  # predicted training time

    @property
    def settings(self) -> dict:
        """Fields of SFTConfig."""
        return {
            "per_device_train_batch_size": self.micro_batch,
            "gradient_accumulation_steps": self.accumulation,
            "gradient_checkpointing": self.checkpointing,
        }

    def __str__(self) -> str:
        free = "" if self.free_bytes is None else f" of {self.free_bytes / 2**30:.1f} free"
        return (
            f"{self.micro_batch} examples at once x {self.accumulation}"
            f"{', activations recomputed' if self.checkpointing else ''}: "
            f"predicted peak {self.peak_bytes / 2**30:.2f} GiB{free}, "
            f"{self.seconds / 60:.1f} minutes of training"
        )


def preflight(
    model,
    lengths: list[int],
    steps: int,
    batch: int = 16,
    trainable: int | None = None,
    free_bytes: int | None = None,
) -> Plan:
    """Choose micro batch and accumulation for `steps` optimizer steps of `batch` examples.

    model: a causal LM on its device, as loaded; it is left as it was
    lengths: tokens of each training example, prompt and completion
    trainable: number of trained parameters; 4 + 8 bytes each for gradient and AdamW's moments.
        None: 1% of the model's
    free_bytes: memory to plan for; None asks the device
    Raises MemoryError (one line) if not even one example fits with recomputed activations, or
    two do not for the measurement, and ValueError for a batch that is not a power of two.
    """
    import torch

    if batch < 1 or batch & (batch - 1):
        raise ValueError(f"batch must be a power of two, not {batch}")
    free = _free(model.device) if free_bytes is None else free_bytes
    held = sum(p.numel() * p.element_size() for p in model.parameters())
    trained = model.num_parameters() // 100 if trainable is None else trainable
    state = 12 * trained
    longest, mean = max(lengths), sum(lengths) / len(lengths)
    for checkpointing in (False, True):
        try:
            memory, pace = _measure(model, longest, checkpointing)
        except (MemoryError, torch.OutOfMemoryError):
            continue
        sizes = [2**i for i in range(int(math.log2(batch)), -1, -1)]
        for micro in sizes:
            needed = state + memory(micro)
            if free is None or needed <= SHARE * free:
                # Rows of a batch are padded to its longest: about the mean of the longest of them.
                padded = min(longest, mean * (1 + 0.25 * math.log2(micro)))
                seconds = steps * (batch // micro) * pace(micro * padded)
                return Plan(micro, batch // micro, checkpointing, held + needed, free, seconds)
    raise MemoryError(
        f"not even one or two examples of {longest} tokens fit into this device's memory: "
        "take a smaller max_length or a smaller model"
    )


def _free(device) -> int | None:
    """Bytes that the device could still give: a GPU's own count, else the machine's memory."""
    import torch

    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory()


def _measure(model, length, checkpointing):
    """Two functions, from real passes: examples -> bytes above the model, tokens -> seconds."""
    points = []
    for rows in (1, 2):
        tokens = rows * length
        seconds, peak = _one_pass(model, rows, length, checkpointing)
        points.append((tokens, seconds, peak))
    (n1, s1, m1), (n2, s2, m2) = points
    per_token, slope = max(0, m2 - m1) / (n2 - n1), max(1e-9, (s2 - s1) / (n2 - n1))
    fixed, start = max(0, m1 - per_token * n1), max(0.0, s1 - slope * n1)
    return (
        lambda rows: int(fixed + per_token * rows * length),
        lambda tokens: start + slope * tokens,
    )


def _one_pass(model, rows, length, checkpointing):
    """Seconds and peak bytes of a forward and backward pass with frozen weights, above the model.

    As in LoRA, the gradient goes through every layer to the embeddings, but not into the weights.
    """
    import torch

    was_training = model.training
    required = [p.requires_grad for p in model.parameters()]
    model.requires_grad_(False)
    model.train()
    if checkpointing:
        with quiet():  # newer versions have another name for it, and say so
            model.gradient_checkpointing_enable({"use_reentrant": False})
    ids = torch.ones(rows, length, dtype=torch.int64, device=model.device)
    try:
        for _ in range(2):  # the first pass also pays for what is set up once
            free_memory()
            with peak_memory(model.device) as peak, fitting_threads(model):
                began = time.perf_counter()
                inputs = model.get_input_embeddings()(ids).detach().requires_grad_(True)
                loss = model(inputs_embeds=inputs, labels=ids, use_cache=False).loss
                loss.backward()
                if model.device.type == "cuda":
                    torch.cuda.synchronize()
                seconds = time.perf_counter() - began
            del inputs, loss
        return seconds, peak.bytes or 0
    finally:
        if checkpointing:
            with quiet():
                model.gradient_checkpointing_disable()
        for parameter, needed in zip(model.parameters(), required, strict=True):
            parameter.requires_grad_(needed)
        model.train(was_training)
