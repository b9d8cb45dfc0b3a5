# exercise: adapter_state_dict
def adapter_state_dict(model):
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


def load_adapter(model, state):
    own = {n: p for n, p in model.named_parameters() if "lora_" in n}
    missing = own.keys() - state.keys()
    unexpected = state.keys() - own.keys()
    if missing or unexpected:
        raise KeyError(f"missing {sorted(missing)}, unexpected {sorted(unexpected)}")
    for n, p in own.items():
        if p.shape != state[n].shape:
            raise ValueError(f"{n}: {tuple(state[n].shape)} does not fit {tuple(p.shape)}")
    with torch.no_grad():
        for n, p in own.items():
            p.copy_(state[n])
