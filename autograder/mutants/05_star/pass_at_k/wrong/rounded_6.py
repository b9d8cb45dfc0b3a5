# exercise: pass_at_k
def pass_at_k(n, c, k):
    if k > n or c > n:
        raise ValueError("too many")
    return round(1.0 - math.comb(n - c, k) / math.comb(n, k), 6)

# clause: not rounded: one right of 10 million
