def residual_distribution(p, q):
    p -= q
    p.clamp_(min=0)
    return p / p.sum() if p.sum() > 0 else q
