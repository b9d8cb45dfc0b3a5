# exercise: lora_param_count
import re


def lora_param_count(shapes, r, targets):
    if r < 1:
        raise ValueError("r < 1")
    pattern = re.compile(r"(?:^|.*\.)(?:" + "|".join(re.escape(t) for t in targets) + r")$")
    sizes = [o * r + r * i for n, (o, i) in shapes.items() if targets and pattern.match(n)]
    if not sizes:
        raise ValueError("no match")
    return sum(sizes)
