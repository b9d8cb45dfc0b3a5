# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    s2 = torch.linalg.svdvals(delta.detach().double()) ** 2
    total = s2.sum()
    if total < 1e-8:
        return 0
    share = s2.cumsum(0) / total
    return int((share < energy).sum()) + 1
# violates: 0 for a matrix of ZEROS only: a small change counts as none
