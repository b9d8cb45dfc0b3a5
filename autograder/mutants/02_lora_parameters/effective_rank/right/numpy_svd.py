# exercise: effective_rank
import numpy as np


def effective_rank(delta, energy=0.9):
    s = np.linalg.svd(delta.detach().to(torch.float64).numpy(), compute_uv=False)
    power = s * s
    if not power.any():
        return 0
    return int(np.searchsorted(np.cumsum(power), energy * power.sum()) + 1)
