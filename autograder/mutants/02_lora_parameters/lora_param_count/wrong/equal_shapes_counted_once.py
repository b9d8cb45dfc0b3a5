# exercise: lora_param_count
def lora_param_count(shapes, r, targets):
    if r < 1:
        raise ValueError("r")
    found = {s for n, s in shapes.items() if any(n == t or n.endswith("." + t) for t in targets)}
    if not found:
        raise ValueError("nothing matched")
    return sum(r * (o + i) for o, i in found)
