# exercise: inject_lora
def inject_lora(model, targets, r, alpha):
    found = [(n, m) for n, m in model.named_modules()
             if isinstance(m, (nn.Linear, LoRALinear))
             and any(n == t or n.endswith("." + t) for t in targets)]
    if not found:
        raise ValueError("no match")
    for name, module in found:
        base = module.base if isinstance(module, LoRALinear) else module
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, LoRALinear(base, r, alpha))
    for name, p in model.named_parameters():
        p.requires_grad_("lora_" in name)
    return model
