def residual_distribution(p, q):
    r = (1 - q / p.clamp(min=1e-9)).clamp(min=0)
    return r / r.sum() if r.sum() > 0 else p
