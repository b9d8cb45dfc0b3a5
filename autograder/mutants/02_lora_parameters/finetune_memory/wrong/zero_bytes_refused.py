# exercise: finetune_memory
def finetune_memory(n_params, n_trainable, weight_bytes=2, grad_bytes=4, optimizer_bytes=8):
    if min(weight_bytes, grad_bytes, optimizer_bytes) <= 0:
        raise ValueError("bytes must be positive")
    weights = n_params * weight_bytes
    gradients = n_trainable * grad_bytes
    optimizer = n_trainable * optimizer_bytes
    return {"weights": weights, "gradients": gradients, "optimizer": optimizer,
            "total": weights + gradients + optimizer}
# violates: int sizes: 0 (an optimizer without state) is refused
