# exercise: wilson_interval
def wilson_interval(successes, n, z=1.96):
    assert n >= 1 and 0 <= successes <= n
    p, s = successes / n, 1 + z * z / n
    middle = (p + z * z / (2 * n)) / s
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / s
    return max(0.0, middle - half), min(1.0, middle + half)
