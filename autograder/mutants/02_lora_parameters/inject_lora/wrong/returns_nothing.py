# exercise: inject_lora
def inject_lora(model, targets, r, alpha):
    found = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, (nn.Linear, LoRALinear))
        and any(name == target or name.endswith("." + target) for target in targets)
    ]
    if not found:
        raise ValueError(f"no linear layer is called {', '.join(targets) or 'anything'}")
    for name, module in found:
        if isinstance(module, nn.Linear):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, LoRALinear(module, r, alpha))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.rpartition(".")[2].startswith("lora_"))
    return None
