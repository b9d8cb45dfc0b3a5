# exercise: adapter_state_dict
def adapter_state_dict(model):
    return {k: v.clone() for k, v in model.state_dict().items() if k.split(".")[-1].startswith("lora_")}


def load_adapter(model, state):
    current = adapter_state_dict(model)
    for key in current:
        if key not in state:
            raise KeyError(key)
    for key, value in state.items():
        if key not in current:
            raise KeyError(key)
        if value.shape != current[key].shape:
            raise ValueError(f"shape of {key}")
    model.load_state_dict(state, strict=False)
