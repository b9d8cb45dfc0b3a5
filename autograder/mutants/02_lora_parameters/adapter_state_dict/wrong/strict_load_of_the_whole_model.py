# exercise: adapter_state_dict
def adapter_state_dict(model):
    return {k: v.detach().clone() for k, v in model.state_dict().items() if "lora_" in k}


def load_adapter(model, state):
    model.load_state_dict(state, strict=True)
