# exercise: wilson_interval
def _check(k, n):
    if n < 1 or k < 0 or k > n:
        raise ValueError("need 0 <= successes <= n and n >= 1")


def wilson_interval(successes, n, z=1.96):
    _check(successes, n)
    p = float(successes) / n
    z2 = z * z
    base = 2 * n * p + z2
    root = z * math.sqrt(z2 + 4 * n * p * (1 - p))
    low = (base - root) / (2 * (n + z2))
    high = (base + root) / (2 * (n + z2))
    return min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)
