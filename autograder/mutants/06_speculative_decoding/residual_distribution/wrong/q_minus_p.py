def residual_distribution(p, q):
    r = (q - p).clamp(min=0)
    return r / r.sum() if r.sum() > 0 else p
