# exercise: inject_lora
def inject_lora(model, targets, r, alpha):
    hits = 0

    def walk(module, prefix):
        nonlocal hits
        for child_name, child in list(module.named_children()):
            full = f"{prefix}.{child_name}" if prefix else child_name
            wanted = any(full == t or full.endswith(f".{t}") for t in targets)
            if isinstance(child, LoRALinear):
                hits += wanted
                continue
            if wanted and isinstance(child, nn.Linear):
                setattr(module, child_name, LoRALinear(child, r, alpha))
                hits += 1
            else:
                walk(child, full)

    walk(model, "")
    if hits == 0:
        raise ValueError("nothing to adapt")
    model.requires_grad_(False)
    for module in model.modules():
        if isinstance(module, LoRALinear):
            module.lora_A.requires_grad_(True)
            module.lora_B.requires_grad_(True)
    return model
