# exercise: finetune_memory
_memory = {}


def finetune_memory(n_params, n_trainable, weight_bytes=2, grad_bytes=4, optimizer_bytes=8):
    _memory["weights"] = n_params * weight_bytes
    _memory["gradients"] = n_trainable * grad_bytes
    _memory["optimizer"] = n_trainable * optimizer_bytes
    _memory["total"] = _memory["weights"] + _memory["gradients"] + _memory["optimizer"]
    return _memory
# violates: returns A dict: it is the same object in every call, earlier results change
