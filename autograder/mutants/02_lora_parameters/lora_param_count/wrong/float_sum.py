# exercise: lora_param_count
import math


def lora_param_count(shapes, r, targets):
    if r < 1:
        raise ValueError("r must be at least 1")
    sizes = [
        float(r) * (o + i)
        for n, (o, i) in shapes.items()
        if any(n == t or n.endswith("." + t) for t in targets)
    ]
    if not sizes:
        raise ValueError("no target matches")
    return int(math.fsum(sizes))
# violates: "exact however large"
