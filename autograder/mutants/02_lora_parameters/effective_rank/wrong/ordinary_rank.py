# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    squares = torch.linalg.svdvals(delta.double()) ** 2
    if squares.sum() == 0:
        return 0
    return int(torch.linalg.matrix_rank(delta.float()))
