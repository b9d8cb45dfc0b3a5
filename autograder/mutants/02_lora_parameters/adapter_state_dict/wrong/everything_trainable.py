# exercise: adapter_state_dict
def adapter_state_dict(model):
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.dim() == 2}


def load_adapter(model, state):
    own = {n: p for n, p in model.named_parameters() if p.dim() == 2}
    if set(own) != set(state):
        raise KeyError
    for n, p in own.items():
        if p.shape != state[n].shape:
            raise ValueError
        p.data.copy_(state[n])
