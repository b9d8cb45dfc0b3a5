# exercise: pass_at_k
def pass_at_k(n, c, k):
    assert not (k > n and c > n), "both too large"
    if k > n or c > n:
        raise ValueError("too many")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)

# clause: ValueError, not AssertionError, when both are too large
