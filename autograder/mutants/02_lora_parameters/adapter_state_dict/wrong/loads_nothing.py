# exercise: adapter_state_dict
def adapter_state_dict(model):
    return {
        name: parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name.rpartition(".")[2].startswith("lora_")
    }


def load_adapter(model, state):
    own = {
        name: parameter
        for name, parameter in model.named_parameters()
        if name.rpartition(".")[2].startswith("lora_")
    }
    if own.keys() != state.keys():
        raise KeyError(f"missing or unexpected: {', '.join(sorted(own.keys() ^ state.keys()))}")
    for name, parameter in own.items():
        if state[name].shape != parameter.shape:
            raise ValueError(f"{name} must have the shape {tuple(parameter.shape)}")
    # All is checked before the first copy: a model is never left half loaded.
    with torch.no_grad():
        for name, parameter in own.items():
            state[name].clone()
