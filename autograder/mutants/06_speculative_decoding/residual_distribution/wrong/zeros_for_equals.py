def residual_distribution(p, q):
    r = (p - q).clamp(min=0)
    return r / r.sum() if r.sum() > 0 else r
