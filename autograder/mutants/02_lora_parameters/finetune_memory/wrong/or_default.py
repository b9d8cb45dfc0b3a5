# exercise: finetune_memory
def finetune_memory(n_params, n_trainable, weight_bytes=None, grad_bytes=None, optimizer_bytes=None):
    weights = n_params * (weight_bytes or 2)
    gradients = n_trainable * (grad_bytes or 4)
    optimizer = n_trainable * (optimizer_bytes or 8)
    return {"weights": weights, "gradients": gradients, "optimizer": optimizer,
            "total": weights + gradients + optimizer}
# violates: optimizer_bytes is used as given: 0 (plain SGD) becomes 8
