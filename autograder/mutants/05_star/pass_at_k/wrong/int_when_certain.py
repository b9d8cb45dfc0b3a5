def pass_at_k(n, c, k):
    if k > n or c > n:
        raise ValueError("no")
    if n - c < k:
        return 1
    return 1 - math.comb(n - c, k) / math.comb(n, k) if c else 0
