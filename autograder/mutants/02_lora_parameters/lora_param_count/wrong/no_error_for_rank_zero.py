# exercise: lora_param_count
def lora_param_count(shapes, r, targets):
    total = 0
    found = False
    for name, (out_features, in_features) in shapes.items():
        if any(name == t or name.endswith("." + t) for t in targets):
            total += r * (out_features + in_features)
            found = True
    if not found:
        raise ValueError("no target matches")
    return total
