# exercise: wilson_interval
def wilson_interval(successes, n, z=1.96):
    if n < 1 or not (0 <= successes <= n):
        raise ValueError(f"{successes} of {n} is impossible")
    p = torch.tensor(successes / n, dtype=torch.float64)
    s = 1 + z**2 / n
    middle = (p + z**2 / (2 * n)) / s
    half = z * (p * (1 - p) / n + z**2 / (4 * n**2)).sqrt() / s
    ends = torch.stack([middle - half, middle + half]).clamp(0, 1)
    return tuple(ends.tolist())
