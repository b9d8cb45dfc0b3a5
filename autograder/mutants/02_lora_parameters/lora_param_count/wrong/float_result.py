# exercise: lora_param_count
def lora_param_count(shapes, r, targets):
    if r < 1:
        raise ValueError(f"the rank must be at least 1, not {r}")
    matched = [
        shape
        for name, shape in shapes.items()
        if any(name == target or name.endswith("." + target) for target in targets)
    ]
    if not matched:
        raise ValueError(f"no module is called {', '.join(targets) or 'anything'}")
    return float(sum(r * (d_out + d_in) for d_out, d_in in matched))
