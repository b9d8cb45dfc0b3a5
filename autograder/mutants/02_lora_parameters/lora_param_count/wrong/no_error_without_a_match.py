# exercise: lora_param_count
def lora_param_count(shapes, r, targets):
    if r < 1:
        raise ValueError("the rank must be at least 1")
    total = 0
    found = False
    for name, (out_features, in_features) in shapes.items():
        if any(name == t or name.endswith("." + t) for t in targets):
            total += r * (out_features + in_features)
            found = True
    return total
