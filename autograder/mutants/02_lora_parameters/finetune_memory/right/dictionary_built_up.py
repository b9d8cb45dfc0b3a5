# exercise: finetune_memory
def finetune_memory(n_params, n_trainable, weight_bytes=2, grad_bytes=4, optimizer_bytes=8):
    parts = dict(
        weights=weight_bytes * n_params,
        gradients=grad_bytes * n_trainable,
        optimizer=optimizer_bytes * n_trainable,
    )
    return {**parts, "total": sum(parts.values())}
