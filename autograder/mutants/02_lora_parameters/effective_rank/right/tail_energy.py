# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    s2 = torch.linalg.svdvals(delta.to(torch.float64)).square()
    whole = s2.sum().item()
    tail = torch.cat([s2.flip(0).cumsum(0).flip(0), torch.zeros(1, dtype=s2.dtype)])
    if whole == 0:
        return 0
    for r in range(len(s2) + 1):
        if tail[r].item() <= (1 - energy) * whole:
            return r
