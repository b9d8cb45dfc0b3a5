# exercise: finetune_memory
def finetune_memory(n_params, n_trainable, weight_bytes=2, grad_bytes=4, optimizer_bytes=8):
    total = n_params * weight_bytes + n_trainable * (grad_bytes + optimizer_bytes)
    return {"total": total, "optimizer": optimizer_bytes * n_trainable,
            "gradients": grad_bytes * n_trainable, "weights": weight_bytes * n_params}
