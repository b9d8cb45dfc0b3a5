# exercise: lora_param_count
def lora_param_count(shapes, r, targets):
    total = 0
    anything = False
    if r <= 0:
        raise ValueError("rank")
    for name, shape in shapes.items():
        matches = False
        for target in targets:
            if ("." + name).endswith("." + target):
                matches = True
        if matches:
            anything = True
            a = r * shape[1]
            b = shape[0] * r
            total = total + a + b
    if not anything:
        raise ValueError("no target matches")
    return total
