# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    delta = delta.detach().double()
    if torch.allclose(delta, torch.zeros_like(delta)):
        return 0
    squares = torch.linalg.svdvals(delta) ** 2
    shares = torch.cumsum(squares, dim=0) / squares.sum()
    return min(int(torch.count_nonzero(shares < energy)) + 1, len(shares))
# clause: "0 for a matrix of zeros" (only) - a change of size 1e-9 is "close to zero" for allclose (atol 1e-8), yet it has a rank
