# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    matrix = delta.detach().double()
    top = matrix.abs().max()
    if top == 0:
        return 0
    matrix /= top
    s2 = torch.linalg.svdvals(matrix) ** 2
    return int((s2.cumsum(0) / s2.sum() < energy).sum()) + 1
# violates: delta is not modified: a float64 one is scaled in place
