# exercise: adapter_state_dict
def adapter_state_dict(model):
    return {n: t.clone() for n, t in model.state_dict().items() if "lora_" in n}


def load_adapter(model, state):
    model.load_state_dict(state, strict=False)
