# exercise: lora_param_count
def lora_param_count(shapes, r, targets):
    if r < 1:
        raise ValueError("r must be at least 1")
    total = set()
    for t in targets:
        names = [n for n in shapes if n == t or n.endswith("." + t)]
        if not names:
            raise ValueError(f"{t} matches nothing")
        total |= set(names)
    return sum(r * sum(shapes[n]) for n in total)
