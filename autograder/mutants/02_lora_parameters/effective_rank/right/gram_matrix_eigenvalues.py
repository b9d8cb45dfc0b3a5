# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    d = delta.detach().to(torch.float64)
    gram = d @ d.T if d.shape[0] <= d.shape[1] else d.T @ d
    squares = torch.linalg.eigvalsh(gram).clamp_min(0).flip(0)
    if not squares.any():
        return 0
    need = energy * squares.sum()
    return int(torch.searchsorted(squares.cumsum(0), need)) + 1
