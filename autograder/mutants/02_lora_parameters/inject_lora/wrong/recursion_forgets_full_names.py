# exercise: inject_lora
def inject_lora(model, targets, r, alpha):
    def walk(module):
        count = 0
        for name, child in module.named_children():
            if isinstance(child, LoRALinear):
                count += name in targets
            elif isinstance(child, nn.Linear) and name in targets:
                setattr(module, name, LoRALinear(child, r, alpha))
                count += 1
            else:
                count += walk(child)
        return count

    if not walk(model):
        raise ValueError("no match")
    for name, p in model.named_parameters():
        p.requires_grad = "lora_" in name
    return model
