# exercise: lora_param_count
def lora_param_count(shapes, r, targets):
    if not r >= 1:
        raise ValueError("the rank must be a positive integer")

    def matches(name):
        parts = name.split(".")
        return any(".".join(parts[i:]) in set(targets) for i in range(len(parts)))

    chosen = [shape for name, shape in shapes.items() if matches(name)]
    if len(chosen) == 0:
        raise ValueError(f"none of {targets} found")
    return r * sum(out_features + in_features for out_features, in_features in chosen)
