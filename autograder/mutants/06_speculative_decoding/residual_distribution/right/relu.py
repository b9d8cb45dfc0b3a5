def residual_distribution(p, q):
    r = torch.relu(p - q)
    if r.sum() == 0:
        return p
    return r / r.sum()
