# exercise: adapter_state_dict
def adapter_state_dict(model):
    return {
        n: p.detach().float().clone()
        for n, p in model.named_parameters()
        if n.rpartition(".")[2].startswith("lora_")
    }


def load_adapter(model, state):
    own = {n: p for n, p in model.named_parameters() if n.rpartition(".")[2].startswith("lora_")}
    if set(own) != set(state):
        raise KeyError(str(set(own) ^ set(state)))
    for n in own:
        if own[n].shape != state[n].shape:
            raise ValueError(n)
    with torch.no_grad():
        for n in own:
            own[n].copy_(state[n])
# violates: copies: the dtype of a 16-bit factor is changed
