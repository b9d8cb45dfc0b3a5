def residual_distribution(p, q):
    r = (p.double() - q.double()).clamp(min=0)
    if not r.any():
        return p.clone()
    return (r / r.sum()).to(p.dtype)
