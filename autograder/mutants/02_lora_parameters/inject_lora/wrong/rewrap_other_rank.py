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
        parent, _, last = name.rpartition(".")
        if isinstance(m, LoRALinear):
            if m.r == r:
                continue
            m = m.base
        setattr(model.get_submodule(parent), last, LoRALinear(m, r, alpha))
    for n, p in model.named_parameters():
        p.requires_grad_(n.rpartition(".")[2].startswith("lora_"))
    return model
# violates: a wrapped layer stays as it is: here it is replaced when r differs
