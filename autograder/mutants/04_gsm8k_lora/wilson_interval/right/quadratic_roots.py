# exercise: wilson_interval
def wilson_interval(successes, n, z=1.96):
    if n < 1:
        raise ValueError("no trials")
    if successes < 0 or successes > n:
        raise ValueError("impossible count")
    a, b, c = n + z**2, -(2 * successes + z**2), successes**2 / n
    root = max(b * b - 4 * a * c, 0.0) ** 0.5
    low, high = (-b - root) / (2 * a), (-b + root) / (2 * a)
    return (max(low, 0.0), min(high, 1.0))
