# exercise: adapter_state_dict
def _factors(model):
    for prefix, module in model.named_modules():
        for key in ("lora_A", "lora_B"):
            if isinstance(getattr(module, key, None), nn.Parameter):
                yield (prefix + "." if prefix else "") + key, getattr(module, key)


def adapter_state_dict(model):
    return dict((name, copy.deepcopy(p.data)) for name, p in _factors(model))


def load_adapter(model, state):
    targets = dict(_factors(model))
    for name in {*targets, *state}:
        if name not in targets or name not in state:
            raise KeyError(name)
        if targets[name].shape != state[name].shape:
            raise ValueError(name)
    for name in targets:
        targets[name].data[...] = state[name]
    return model
