# exercise: wilson_interval
def wilson_interval(successes, n, z=1.96):
    if n < 1 or not 0 <= successes <= n:
        raise ValueError("bad counts")
    p, s = successes / n, 1 + z * z / n
    middle = (p + z * z / (2 * n)) / s
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / s
    return round(max(0.0, middle - half), 3), round(min(1.0, middle + half), 3)
