# exercise: finetune_memory
def finetune_memory(n_params, n_trainable, weight_bytes=2, grad_bytes=4, optimizer_bytes=8):
    frozen = n_params - n_trainable
    result = {"total": frozen * weight_bytes + n_trainable * (weight_bytes + grad_bytes + optimizer_bytes)}
    result["optimizer"] = n_trainable * optimizer_bytes
    result["gradients"] = n_trainable * grad_bytes
    result["weights"] = result["total"] - result["optimizer"] - result["gradients"]
    return result
