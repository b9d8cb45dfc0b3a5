# exercise: adapter_state_dict
def adapter_state_dict(model):
    state = {}
    for name, module in model.named_modules():
        if hasattr(module, "lora_A"):
            state[f"{name}.lora_A"] = module.lora_A.detach().clone()
            state[f"{name}.lora_B"] = module.lora_B.detach().clone()
    return state


def load_adapter(model, state):
    layers = {n: m for n, m in model.named_modules() if hasattr(m, "lora_A")}
    expected = {f"{n}.{part}" for n in layers for part in ("lora_A", "lora_B")}
    if expected != set(state):
        raise KeyError(f"names differ: {expected ^ set(state)}")
    pairs = []
    for name, tensor in state.items():
        path, _, part = name.rpartition(".")
        parameter = getattr(layers[path], part)
        if parameter.shape != tensor.shape:
            raise ValueError(f"{name} is misshapen")
        pairs.append((parameter, tensor))
    with torch.no_grad():
        for parameter, tensor in pairs:
            parameter.copy_(tensor)
# clause: "full parameter name" - the model is itself a LoRALinear: the names are "lora_A" and "lora_B", not ".lora_A"
