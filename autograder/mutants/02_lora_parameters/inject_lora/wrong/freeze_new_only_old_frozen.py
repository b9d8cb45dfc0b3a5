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
    model.requires_grad_(False)
    for name, m in found:
        if isinstance(m, LoRALinear):
            m.lora_A.requires_grad_(True)
            m.lora_B.requires_grad_(True)
            continue
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, LoRALinear(m, r, alpha))
    return model
# violates: afterwards lora_ parameters are trainable: those of an earlier call with OTHER targets get frozen
