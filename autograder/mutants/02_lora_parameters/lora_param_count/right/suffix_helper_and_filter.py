# exercise: lora_param_count
def _is_target(name, targets):
    for target in targets:
        if name == target:
            return True
        if len(name) > len(target) and name[-len(target) - 1:] == "." + target:
            return True
    return False


def lora_param_count(shapes, r, targets):
    if r <= 0:
        raise ValueError("rank must be positive")
    kept = dict(filter(lambda item: _is_target(item[0], targets), shapes.items()))
    if kept == {}:
        raise ValueError("no module matches")
    return sum(r * out + r * inp for out, inp in kept.values())
