# exercise: adapter_state_dict
def _lora(model):
    return [(n, p) for n, p in model.named_parameters() if ".lora_" in "." + n]


def adapter_state_dict(model):
    return {n: copy.deepcopy(p.data) for n, p in _lora(model)}


def load_adapter(model, state):
    pairs = dict(_lora(model))
    if sorted(pairs) != sorted(state):
        raise KeyError("the adapter's names are not the model's")
    bad = [n for n in pairs if pairs[n].shape != state[n].shape]
    if bad:
        raise ValueError(f"misshapen: {bad}")
    for n, p in pairs.items():
        p.data = state[n].detach().clone().to(p.dtype)
