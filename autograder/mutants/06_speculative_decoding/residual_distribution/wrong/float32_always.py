def residual_distribution(p, q):
    r = (p.float() - q.float()).clamp(min=0)
    return r / r.sum() if r.sum() > 0 else p.float()
