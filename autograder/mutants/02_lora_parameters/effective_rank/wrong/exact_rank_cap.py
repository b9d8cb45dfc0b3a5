# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    matrix = delta.detach().double()
    rank = int(torch.linalg.matrix_rank(matrix, rtol=0.1))
    s2 = torch.linalg.svdvals(matrix) ** 2
    if s2.sum() == 0:
        return 0
    return min(rank, int((s2.cumsum(0) / s2.sum() < energy).sum()) + 1)
# violates: smallest r with that share: capped at the numerical rank with a loose tolerance
