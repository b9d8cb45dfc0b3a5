# exercise: inject_lora
def inject_lora(model, targets, r, alpha):
    found = [
        (n, m)
        for n, m in model.named_modules()
        if isinstance(m, (nn.Linear, LoRALinear)) and (n in targets or n.split(".")[-1] in targets)
    ]
    if not found:
        raise ValueError("nothing matches")
    for name, m in found:
        if isinstance(m, nn.Linear):
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, LoRALinear(m, r, alpha))
    for n, p in model.named_parameters():
        p.requires_grad_(n.rpartition(".")[2].startswith("lora_"))
    return model
# violates: matching as in exercise 1: a target of several parts is no suffix here
