# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    U, S, Vh = torch.linalg.svd(delta.float(), full_matrices=False)
    energies = S.pow(2).tolist()
    if sum(energies) == 0:
        return 0
    r = 0
    while sum(energies[:r]) < energy * sum(energies):
        r += 1
    return r
