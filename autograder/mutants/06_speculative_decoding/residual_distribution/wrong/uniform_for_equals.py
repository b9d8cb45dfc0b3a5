def residual_distribution(p, q):
    r = (p - q).clamp(min=0)
    if r.sum() == 0:
        return torch.full_like(p, 1 / len(p))
    return r / r.sum()
