# exercise: finetune_memory
def finetune_memory(n_params, n_trainable, weight_bytes=2, grad_bytes=4, optimizer_bytes=8):
    piles = dict(weights=(n_params, weight_bytes), gradients=(n_trainable, grad_bytes),
                 optimizer=(n_trainable, optimizer_bytes))
    result = {name: n * size for name, (n, size) in piles.items()}
    result["total"] = sum(result.values())
    return result
