# exercise: lora_param_count
def lora_param_count(shapes, r, targets):
    if r < 1:
        raise ValueError("r")
    total = 0
    for name in list(shapes):
        if any(name == t or name.endswith("." + t) for t in targets):
            out, inp = shapes.pop(name)
            total += r * (out + inp)
    if not total:
        raise ValueError("nothing matched")
    return total
