# exercise: lora_param_count
import re


def lora_param_count(shapes, r, targets):
    if r < 1:
        raise ValueError("r")
    pattern = re.compile(r"(?:.*\.)?(?:" + "|".join(targets) + ")")
    hit = [s for n, s in shapes.items() if pattern.fullmatch(n)]
    if not hit:
        raise ValueError("none")
    return r * sum(a + b for a, b in hit)
# violates: "ends in '.' + target": an unescaped dot in the pattern matches any character
