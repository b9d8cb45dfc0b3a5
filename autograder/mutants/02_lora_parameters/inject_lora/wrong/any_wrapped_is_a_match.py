# exercise: inject_lora
def inject_lora(model, targets, r, alpha):
    wrapped = any(isinstance(m, LoRALinear) for m in model.modules())
    found = [
        (n, m)
        for n, m in model.named_modules()
        if isinstance(m, nn.Linear) and any(n == t or n.endswith("." + t) for t in targets)
    ]
    if not found and not wrapped:
        raise ValueError("nothing matches")
    for name, m in found:
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, LoRALinear(m, r, alpha))
    for n, p in model.named_parameters():
        p.requires_grad_(n.rpartition(".")[2].startswith("lora_"))
    return model
# violates: ValueError when nothing matches: in a model with an adapter no target is refused any more
