# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    s2 = torch.linalg.svdvals(delta.double()).square()
    total = s2.sum()
    share = torch.cumsum(s2, 0) / total
    return int((share < energy).sum().item()) + 1
