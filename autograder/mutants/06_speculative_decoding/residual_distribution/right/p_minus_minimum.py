def residual_distribution(p, q):
    r = p - torch.minimum(p, q)
    s = r.sum()
    return p.clone() if s.item() == 0.0 else r / s
