# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    squares = torch.linalg.svdvals(delta.double())
    if squares.sum() == 0:
        return 0
    held = squares.cumsum(0) / squares.sum()
    return int((held < energy).sum()) + 1
