# exercise: inject_lora
def inject_lora(model, targets, r, alpha):
    modules = dict(model.named_modules())
    matching = []
    for name, module in modules.items():
        for target in targets:
            if ("." + name).endswith("." + target) and isinstance(module, (nn.Linear, LoRALinear)):
                matching.append(name)
                break
    if not matching:
        raise ValueError("targets match no nn.Linear")
    for parameter in model.parameters():
        parameter.requires_grad = False
    for name in matching:
        module = modules[name]
        if type(module) is not LoRALinear:
            parent = modules[".".join(name.split(".")[:-1])]
            parent._modules[name.split(".")[-1]] = LoRALinear(module, r, alpha)
    for name, parameter in model.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            parameter.requires_grad = True
    return model
