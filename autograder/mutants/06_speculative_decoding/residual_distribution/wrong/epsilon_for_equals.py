def residual_distribution(p, q):
    r = (p - q).clamp(min=0)
    return r / (r.sum() + 1e-8)
