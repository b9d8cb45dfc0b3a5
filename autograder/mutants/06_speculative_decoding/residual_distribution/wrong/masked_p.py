def residual_distribution(p, q):
    r = torch.where(p > q, p, torch.zeros_like(p))
    return r / r.sum() if r.sum() > 0 else p
