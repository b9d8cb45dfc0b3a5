# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    d = delta.detach().double()
    gram = d @ d.T if d.shape[0] < d.shape[1] else d.T @ d
    values = torch.linalg.eigvalsh(gram).clamp(min=0).flip(0)
    total = float(values.sum())
    if total == 0.0:
        return 0
    running = 0.0
    for rank, value in enumerate(values.tolist(), start=1):
        running += value
        if running >= energy * total:
            return rank
    return len(values)
