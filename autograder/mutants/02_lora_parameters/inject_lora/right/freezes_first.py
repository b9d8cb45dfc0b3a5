# exercise: inject_lora
def inject_lora(model, targets, r, alpha):
    names = {n: m for n, m in model.named_modules() if isinstance(m, (nn.Linear, LoRALinear))}
    names = {n: m for n, m in names.items() if any(n == t or n.endswith("." + t) for t in targets)}
    if len(names) == 0:
        raise ValueError("no module matches")
    for module in model.modules():
        for key, p in module.named_parameters(recurse=False):
            p.requires_grad_(key in ("lora_A", "lora_B"))
    for name, module in names.items():
        if isinstance(module, LoRALinear):
            continue
        head, dot, tail = name.rpartition(".")
        owner = model.get_submodule(head) if dot else model
        setattr(owner, tail, LoRALinear(module, r, alpha, 0.0))
    return model
