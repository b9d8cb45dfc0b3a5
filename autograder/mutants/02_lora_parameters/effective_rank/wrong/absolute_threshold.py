# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    squares = torch.linalg.svdvals(delta.double()) ** 2
    if squares.sum() == 0:
        return 0
    held = squares.cumsum(0) / squares.sum()
    return int((held < energy).sum()) + 1 if squares[0] > 1e-3 else 0
