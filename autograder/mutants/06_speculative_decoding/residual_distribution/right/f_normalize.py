def residual_distribution(p, q):
    if torch.equal(p, q):
        return p.clone()
    return F.normalize((p - q).clamp_min(0), p=1, dim=0, eps=0)
