# exercise: finetune_memory
def finetune_memory(n_params, n_trainable, weight_bytes=2, grad_bytes=4, optimizer_bytes=8):
    frozen = n_params - n_trainable
    out = {}
    out["weights"] = frozen * weight_bytes + n_trainable * weight_bytes
    out["gradients"] = grad_bytes * n_trainable
    out["optimizer"] = optimizer_bytes * n_trainable
    out["total"] = out["weights"] + out["gradients"] + out["optimizer"]
    return out
