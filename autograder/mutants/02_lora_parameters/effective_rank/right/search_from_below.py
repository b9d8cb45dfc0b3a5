# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    _, singular, _ = torch.linalg.svd(delta.to(torch.float64), full_matrices=False)
    squares = [float(s) ** 2 for s in singular]
    total = math.fsum(squares)
    if total == 0.0:
        return 0
    r = 1
    while math.fsum(squares[:r]) < energy * total:
        r += 1
    return r
