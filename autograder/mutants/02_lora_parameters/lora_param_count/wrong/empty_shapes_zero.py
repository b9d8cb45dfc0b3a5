# exercise: lora_param_count
def lora_param_count(shapes, r, targets):
    if r < 1:
        raise ValueError("r must be at least 1")
    count, matched = 0, not shapes
    for n, (o, i) in shapes.items():
        if any(n == t or n.endswith("." + t) for t in targets):
            matched = True
            count += r * o + r * i
    if not matched:
        raise ValueError("no target matches")
    return count
# violates: ValueError if no target matches anything: with no module at all nothing matches
