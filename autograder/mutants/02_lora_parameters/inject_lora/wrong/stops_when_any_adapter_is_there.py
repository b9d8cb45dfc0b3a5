# exercise: inject_lora
def inject_lora(model, targets, r, alpha):
    if any("lora_" in n for n, _ in model.named_parameters()):
        return model
    found = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear)
             and any(n == t or n.endswith("." + t) for t in targets)]
    if not found:
        raise ValueError("no match")
    for name, module in found:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, LoRALinear(module, r, alpha))
    for name, p in model.named_parameters():
        p.requires_grad_("lora_" in name)
    return model
