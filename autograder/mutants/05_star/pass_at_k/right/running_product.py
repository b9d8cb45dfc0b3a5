# exercise: pass_at_k
import numpy as np


def pass_at_k(n, c, k):
    if k > n or c > n:
        raise ValueError("need k <= n and c <= n")
    if n - c < k:
        return 1.0
    return float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))
