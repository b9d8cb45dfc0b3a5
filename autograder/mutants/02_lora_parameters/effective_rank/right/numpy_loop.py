# exercise: effective_rank
import numpy as np


def effective_rank(delta, energy=0.9):
    values = np.linalg.svd(delta.detach().double().cpu().numpy(), compute_uv=False)
    squares = values**2
    total = squares.sum()
    if total == 0:
        return 0
    held = 0.0
    for r, square in enumerate(squares, start=1):
        held += square
        if held >= energy * total:
            return r
    return len(squares)
