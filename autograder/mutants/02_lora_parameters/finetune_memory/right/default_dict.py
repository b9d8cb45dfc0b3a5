# exercise: finetune_memory
from collections import defaultdict


def finetune_memory(n_params, n_trainable, weight_bytes=2, grad_bytes=4, optimizer_bytes=8):
    memory = defaultdict(int)
    memory["weights"] += n_params * weight_bytes
    memory["gradients"] += n_trainable * grad_bytes
    memory["optimizer"] += n_trainable * optimizer_bytes
    for part in ("weights", "gradients", "optimizer"):
        memory["total"] += memory[part]
    return dict(memory)
