# exercise: pass_at_k
def pass_at_k(n, c, k):
    if k > n:
        raise ValueError("k > n")
    if c > n:
        raise ValueError("c > n")
    miss = 1.0
    for i in range(k):
        miss *= (n - c - i) / (n - i) if n - c > i else 0.0
    return 1.0 - miss
