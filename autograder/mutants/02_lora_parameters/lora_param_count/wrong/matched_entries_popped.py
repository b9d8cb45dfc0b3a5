# exercise: lora_param_count
def lora_param_count(shapes, r, targets):
    if r < 1:
        raise ValueError("r must be at least 1")
    total = 0
    for name in list(shapes):
        if any(name == t or name.endswith("." + t) for t in targets):
            out_features, in_features = shapes.pop(name)
            total += r * (out_features + in_features)
    if total == 0:
        raise ValueError("nothing matches")
    return total
