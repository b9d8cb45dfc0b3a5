# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    s2 = torch.linalg.svdvals(delta.detach().double()) ** 2
    if s2.sum() == 0:
        return 0
    share = s2.cumsum(0) / s2.sum()
    return int((share <= energy).sum()) + 1
# violates: AT LEAST energy: an exact tie takes one direction too many
