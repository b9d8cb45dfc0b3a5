def residual_distribution(p, q):
    r = (p - q).clamp(min=0)
    if r.sum() < 0.001:
        return p
    return r / r.sum()
