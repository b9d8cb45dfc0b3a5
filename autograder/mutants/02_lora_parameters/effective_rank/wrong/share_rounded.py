# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    s2 = torch.linalg.svdvals(delta.detach().double()) ** 2
    total = s2.sum().item()
    if total == 0:
        return 0
    held = 0.0
    for r, value in enumerate(s2.tolist(), 1):
        held += value
        if round(held / total, 2) >= energy:
            return r
    return len(s2)
# violates: AT LEAST energy: shares are rounded to two digits
