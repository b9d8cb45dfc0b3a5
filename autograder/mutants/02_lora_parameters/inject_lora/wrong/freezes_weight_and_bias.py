# exercise: inject_lora
def inject_lora(model, targets, r, alpha):
    found = [
        (n, m)
        for n, m in model.named_modules()
        if isinstance(m, (nn.Linear, LoRALinear))
        and any(n == t or n.endswith("." + t) for t in targets)
    ]
    if not found:
        raise ValueError("nothing matches")
    for name, m in found:
        if isinstance(m, nn.Linear):
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, LoRALinear(m, r, alpha))
    for n, p in model.named_parameters():
        if n.endswith(("weight", "bias")):
            p.requires_grad = False
    return model
# violates: ONLY lora_ parameters are trainable: parameters with another name than weight or bias stay trainable
