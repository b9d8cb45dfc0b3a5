# exercise: residual_distribution
def residual_distribution(p, q):
    low = torch.minimum(p, q)
    rejected = 1 - low.sum()
    if torch.equal(p, q) or rejected <= 0:
        return p.clone()
    return (p - low) / rejected
# violates: summing to 1: 1 - sum(min(p, q)) is cancelled away in float32
