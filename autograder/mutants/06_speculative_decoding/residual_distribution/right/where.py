def residual_distribution(p, q):
    diff = torch.where(p > q, p - q, torch.zeros_like(p))
    total = diff.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, diff / total, p)
