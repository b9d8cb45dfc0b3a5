# exercise: adapter_state_dict
def adapter_state_dict(model):
    saved = {}
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            saved[name] = torch.tensor(parameter.detach().numpy())
    return saved


def load_adapter(model, state):
    remaining = set(state)
    for name, parameter in model.named_parameters():
        if "lora_" not in name:
            continue
        if tuple(state[name].shape) != tuple(parameter.shape):
            raise ValueError(f"shape of {name}")
        remaining.remove(name)
    if remaining:
        raise ValueError(f"unexpected: {remaining}")
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = state[name].detach().clone()
