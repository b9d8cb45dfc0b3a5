# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    values = torch.linalg.svdvals(delta.double())
    if values.norm() == 0:
        return 0
    low, high = 1, len(values)
    while low < high:
        middle = (low + high) // 2
        if values[:middle].norm() ** 2 >= energy * values.norm() ** 2:
            high = middle
        else:
            low = middle + 1
    return low
