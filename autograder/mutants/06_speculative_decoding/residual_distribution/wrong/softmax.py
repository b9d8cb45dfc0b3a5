def residual_distribution(p, q):
    r = (p - q).clamp(min=0)
    return torch.softmax(r, -1) if r.sum() > 0 else p
