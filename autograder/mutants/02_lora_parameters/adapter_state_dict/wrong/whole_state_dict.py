# exercise: adapter_state_dict
def adapter_state_dict(model):
    return copy.deepcopy(model.state_dict())


def load_adapter(model, state):
    own = dict(model.named_parameters())
    if own.keys() != state.keys():
        raise KeyError("names")
    for name in own:
        if own[name].shape != state[name].shape:
            raise ValueError("shape")
    with torch.no_grad():
        for name in own:
            own[name].copy_(state[name])
