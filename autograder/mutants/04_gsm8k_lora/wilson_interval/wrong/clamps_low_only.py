# exercise: wilson_interval
def wilson_interval(successes, n, z=1.96):
    if n < 1 or not 0 <= successes <= n:
        raise ValueError
    p = successes / n
    d = 1 + z * z / n
    c = (p + z * z / (2 * n)) / d
    h = z / d * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, c - h), c + h
# clause: high <= 1
