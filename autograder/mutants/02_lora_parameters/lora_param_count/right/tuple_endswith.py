# exercise: lora_param_count
def lora_param_count(shapes, r, targets):
    if r < 1:
        raise ValueError(r)
    ends = tuple("." + t for t in targets)
    matched = [n for n in shapes if f".{n}".endswith(ends)]
    if not matched:
        raise ValueError(targets)
    outs = sum(shapes[n][0] for n in matched)
    ins = sum(shapes[n][1] for n in matched)
    return r * outs + r * ins
