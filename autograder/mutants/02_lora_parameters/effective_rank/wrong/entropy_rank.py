# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    squares = torch.linalg.svdvals(delta.double()) ** 2
    if squares.sum() == 0:
        return 0
    p = squares / squares.sum()
    return int(torch.exp(-(p * p.clamp_min(1e-30).log()).sum()).round())
