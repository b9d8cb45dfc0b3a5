# exercise: lora_param_count
import re


def lora_param_count(shapes, r, targets):
    if r < 1 or not targets:
        raise ValueError("rank or targets")
    pattern = re.compile(r"(?:.*\.)?(?:%s)" % "|".join(map(re.escape, targets)), re.DOTALL)
    names = [n for n in shapes if pattern.fullmatch(n)]
    if not names:
        raise ValueError("no match")
    return int(r) * sum(map(sum, (shapes[n] for n in names)))
