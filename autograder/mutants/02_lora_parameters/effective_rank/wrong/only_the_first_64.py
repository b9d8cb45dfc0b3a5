# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    delta = delta.detach().double()
    _, values, _ = torch.svd_lowrank(delta, q=min(64, *delta.shape), niter=4)
    squares = values**2
    if squares.sum() == 0:
        return 0
    shares = squares.cumsum(0) / squares.sum()
    return min(int((shares < energy).sum()) + 1, len(squares))
# clause: "at least `energy` of their sum": the sum over ALL squared singular values - torch.eye(100): 90 is right, the first 64 alone give 58
