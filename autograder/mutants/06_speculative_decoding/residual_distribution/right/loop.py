def residual_distribution(p, q):
    rest = [max(0.0, a - b) for a, b in zip(p.tolist(), q.tolist())]
    total = sum(rest)
    if total == 0:
        return p.clone()
    return torch.tensor([r / total for r in rest], dtype=p.dtype)
