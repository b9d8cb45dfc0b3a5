# exercise: residual_distribution
def residual_distribution(p, q):
    rest = (p - q).clamp(min=0)
    total = rest.sum()
    if total < 1e-6:
        return p.clone()
    return rest / total
# violates: p only where p EQUALS q: nearly equal counts as equal
