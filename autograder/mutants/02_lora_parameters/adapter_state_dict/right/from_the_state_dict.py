# exercise: adapter_state_dict
def adapter_state_dict(model):
    return {k: v.clone() for k, v in model.state_dict().items() if k.split(".")[-1][:5] == "lora_"}


def load_adapter(model, state):
    mine = adapter_state_dict(model)
    if set(mine) - set(state):
        raise KeyError("missing")
    if set(state) - set(mine):
        raise KeyError("unexpected")
    if any(mine[k].size() != state[k].size() for k in mine):
        raise ValueError("shape")
    model.load_state_dict(state, strict=False)
