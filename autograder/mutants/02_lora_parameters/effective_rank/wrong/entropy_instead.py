# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    s2 = torch.linalg.svdvals(delta.double()).square()
    total = s2.sum()
    if total == 0:
        return 0
    p = s2 / total
    return int(round(float(torch.exp(-(p * (p + 1e-12).log()).sum()))))
