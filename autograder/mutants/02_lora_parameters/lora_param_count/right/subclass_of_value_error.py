# exercise: lora_param_count
class NothingMatches(ValueError):
    pass


def lora_param_count(shapes, r, targets):
    if r < 1:
        raise NothingMatches
    found = list(filter(
        lambda n: any(n == t or n[-len(t) - 1:] == "." + t for t in targets), shapes
    ))
    if found == []:
        raise NothingMatches
    return sum(r * shapes[n][k] for n in found for k in (0, 1))
