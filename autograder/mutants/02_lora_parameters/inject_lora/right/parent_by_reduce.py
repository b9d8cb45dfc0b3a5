# exercise: inject_lora
from functools import reduce


def inject_lora(model, targets, r, alpha):
    if not targets:
        raise ValueError("no targets")
    count = 0
    for name, module in dict(model.named_modules()).items():
        if not any(name.split(".")[-len(t.split(".")):] == t.split(".") for t in targets):
            continue
        if isinstance(module, LoRALinear):
            count += 1
        elif isinstance(module, nn.Linear):
            *path, last = name.split(".")
            parent = reduce(getattr, path, model)
            parent.add_module(last, LoRALinear(module, r, alpha))
            count += 1
    if count == 0:
        raise ValueError("no match")
    for name, parameter in model.named_parameters():
        if not name.endswith(("lora_A", "lora_B")):
            parameter.requires_grad = False
    return model
