# exercise: lora_param_count
def lora_param_count(shapes, r, targets):
    if r < 1:
        raise ValueError("r")

    def hits(name, target):
        return name == target or name.endswith("." + target)

    for target in targets:
        if not any(hits(name, target) for name in shapes):
            raise ValueError(f"{target} matches nothing")
    if not targets:
        raise ValueError("no targets")
    return sum(
        r * (o + i) for name, (o, i) in shapes.items() if any(hits(name, t) for t in targets)
    )
