# exercise: inject_lora
def inject_lora(model, targets, r, alpha):
    targets = set(targets)

    def wanted(name):
        parts = name.split(".")
        return any(".".join(parts[i:]) in targets for i in range(len(parts)))

    plain = [n for n, m in model.named_modules() if wanted(n) and isinstance(m, nn.Linear)]
    wrapped = [n for n, m in model.named_modules() if wanted(n) and isinstance(m, LoRALinear)]
    if not plain and not wrapped:
        raise ValueError(f"no linear layer among {sorted(targets)}")
    for name in plain:
        model.set_submodule(name, LoRALinear(model.get_submodule(name), r=r, alpha=alpha))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name.split(".")[-1])
    return model
