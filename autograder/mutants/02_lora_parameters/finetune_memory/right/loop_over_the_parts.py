# exercise: finetune_memory
def finetune_memory(n_params, n_trainable, weight_bytes=2, grad_bytes=4, optimizer_bytes=8):
    names = ["weights", "gradients", "optimizer"]
    counts = [n_params, n_trainable, n_trainable]
    sizes = [weight_bytes, grad_bytes, optimizer_bytes]
    memory = {}
    memory["total"] = 0
    for name, count, size in zip(names, counts, sizes):
        memory[name] = count * size
        memory["total"] += memory[name]
    return memory
