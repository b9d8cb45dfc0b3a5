def residual_distribution(p, q):
    r = (p - q).abs()
    return r / r.sum() if r.sum() > 0 else p
