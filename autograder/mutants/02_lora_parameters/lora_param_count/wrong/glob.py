# exercise: lora_param_count
from fnmatch import fnmatchcase


def lora_param_count(shapes, r, targets):
    if r < 1:
        raise ValueError("r must be at least 1")
    hit = [
        s
        for n, s in shapes.items()
        if any(fnmatchcase(n, t) or fnmatchcase(n, f"*.{t}") for t in targets)
    ]
    if not hit:
        raise ValueError("no target matches")
    return r * sum(map(sum, hit))
# violates: "name equals a target": glob characters and brackets in a name are not taken literally (fnmatch)
