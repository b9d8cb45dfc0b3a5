# exercise: adapter_state_dict
def adapter_state_dict(model):
    return {n: p.data.clone() for n, p in model.named_parameters() if "lora_" in n}


def load_adapter(model, state):
    own = {n: p for n, p in model.named_parameters() if "lora_" in n}
    problems = set(own) ^ set(state)
    problems |= {n for n in set(own) & set(state) if own[n].shape != state[n].shape}
    if problems:
        raise ValueError(f"cannot load: {sorted(problems)}")
    for name, tensor in state.items():
        place, _, key = name.rpartition(".")
        setattr(model.get_submodule(place), key, nn.Parameter(tensor.clone()))
