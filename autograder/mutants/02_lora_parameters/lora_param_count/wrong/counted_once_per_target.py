# exercise: lora_param_count
def lora_param_count(shapes, r, targets):
    if r < 1:
        raise ValueError("r must be at least 1")
    total = 0
    for t in targets:
        for name, (o, i) in shapes.items():
            if name == t or name.endswith("." + t):
                total += r * (o + i)
    if total == 0:
        raise ValueError("nothing matches")
    return total
