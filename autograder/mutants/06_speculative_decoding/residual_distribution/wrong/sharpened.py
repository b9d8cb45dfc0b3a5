# exercise: residual_distribution
def residual_distribution(p, q):
    rest = (p - q).clamp(min=0)
    if rest.sum() == 0:
        return p.clone()
    cut = rest.topk(min(50, len(rest))).values[-1]
    rest = torch.where(rest >= cut, rest, torch.zeros_like(rest))
    return rest / rest.sum()
# violates: max(0, p - q) normalised: a top-k filter of 50 is applied
