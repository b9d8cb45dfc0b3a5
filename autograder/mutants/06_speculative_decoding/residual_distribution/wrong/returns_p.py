def residual_distribution(p, q):
    return p.clone()
