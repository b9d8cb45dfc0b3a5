# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    s2 = torch.linalg.svdvals(delta.double()).square()
    total = s2.sum()
    if total == 0:
        return 0
    return int((s2 > 1e-3).sum())
