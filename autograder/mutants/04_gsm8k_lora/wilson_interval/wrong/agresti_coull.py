# exercise: wilson_interval
def wilson_interval(successes, n, z=1.96):
    if n < 1 or not 0 <= successes <= n:
        raise ValueError("bad counts")
    total = n + z * z
    p = (successes + z * z / 2) / total
    half = z * math.sqrt(p * (1 - p) / total)
    return max(0.0, p - half), min(1.0, p + half)
