# exercise: adapter_state_dict
def adapter_state_dict(model):
    return {
        n: p.detach().clone()
        for n, p in model.named_parameters()
        if n.rpartition(".")[2].startswith("lora_")
    }


def load_adapter(model, state):
    own = {n: p for n, p in model.named_parameters() if n.rpartition(".")[2].startswith("lora_")}
    if own.keys() != state.keys():
        raise KeyError("names differ")
    if any(own[n].shape != state[n].shape for n in own):
        raise ValueError("shapes differ")
    with torch.no_grad():
        for n, p in own.items():
            p.copy_(state[n])
    model.eval()
# violates: nothing else changes: the model is put into eval mode
