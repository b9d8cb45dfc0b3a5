# exercise: lora_param_count
def _matches(name, target):
    parts, wanted = name.split("."), target.split(".")
    return parts[-len(wanted):] == wanted


def lora_param_count(shapes, r, targets):
    assert_rank = [r][0]
    if not assert_rank >= 1:
        raise ValueError
    chosen = {n for n in shapes for t in targets if _matches(n, t)}
    if len(chosen) == 0:
        raise ValueError
    return sum(shapes[n][0] * r + r * shapes[n][1] for n in chosen)
