# exercise: wilson_interval
def wilson_interval(successes, n, z=1.96):
    if n <= 0 or successes not in range(n + 1):
        raise ValueError("successes must be within 0..n and n positive")
    failures = n - successes
    denominator = n + z * z
    centre = (successes + z * z / 2) / denominator
    spread = z / denominator * math.sqrt(successes * failures / n + z * z / 4)
    low = centre - spread if successes else 0.0
    high = centre + spread if failures else 1.0
    return low, high
