# exercise: pass_at_k
import math
def pass_at_k(n, c, k):
    if k > n or c > n:
        raise AssertionError("k and c must not exceed n")
    if n - c < k:
        return 1.0
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)
