# exercise: finetune_memory
from typing import NamedTuple


class Memory(NamedTuple):
    weights: int
    gradients: int
    optimizer: int


def finetune_memory(n_params, n_trainable, weight_bytes=2, grad_bytes=4, optimizer_bytes=8):
    m = Memory(weight_bytes * n_params, grad_bytes * n_trainable, optimizer_bytes * n_trainable)
    return m._asdict() | {"total": sum(m)}
