# exercise: lora_param_count
def lora_param_count(shapes, r, targets):
    if r < 1:
        raise ValueError("r")
    total = 0
    for target in targets:
        for name, (out, inp) in shapes.items():
            if name == target or name.endswith("." + target):
                total += r * (out + inp)
    if total == 0:
        raise ValueError("no match")
    return total
