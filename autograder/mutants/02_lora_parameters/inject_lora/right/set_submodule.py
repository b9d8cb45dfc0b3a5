# exercise: inject_lora
def inject_lora(model, targets, r, alpha):
    def matches(name):
        return ("." + name).endswith(tuple("." + t for t in targets))

    linear = [n for n, m in model.named_modules() if type(m) is nn.Linear and matches(n)]
    wrapped = [n for n, m in model.named_modules() if type(m) is LoRALinear and matches(n)]
    if not linear + wrapped:
        raise ValueError("nothing matches")
    for name in linear:
        model.set_submodule(name, LoRALinear(model.get_submodule(name), r=r, alpha=alpha))
    model.requires_grad_(False)
    for module in model.modules():
        if isinstance(module, LoRALinear):
            module.lora_A.requires_grad_(True)
            module.lora_B.requires_grad_(True)
    return model
