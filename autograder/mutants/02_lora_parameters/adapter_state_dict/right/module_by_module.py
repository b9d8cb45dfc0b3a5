# exercise: adapter_state_dict
def adapter_state_dict(model):
    found = {}
    for prefix, module in model.named_modules():
        for short, p in module.named_parameters(prefix=prefix, recurse=False):
            if "lora_" in short.rsplit(".", 1)[-1]:
                found[short] = torch.tensor(p.detach().cpu().tolist(), dtype=p.dtype).reshape(p.shape)
    return found


def load_adapter(model, state):
    names = {n for n, _ in model.named_parameters() if n.rsplit(".", 1)[-1].startswith("lora_")}
    if names != set(state):
        raise ValueError(f"names differ: {sorted(names ^ set(state))}")
    for name in names:
        if model.get_parameter(name).size() != state[name].size():
            raise ValueError(f"misshapen: {name}")
    for name in names:
        model.get_parameter(name).data.copy_(state[name])
