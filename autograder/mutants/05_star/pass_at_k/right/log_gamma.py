# exercise: pass_at_k
def pass_at_k(n, c, k):
    if not (k <= n and c <= n):
        raise ValueError(f"impossible: n={n}, c={c}, k={k}")
    if n - c < k:
        return 1.0
    if c == 0:
        return 0.0
    lg = math.lgamma
    log = lg(n - c + 1) - lg(n - c - k + 1) - lg(n + 1) + lg(n - k + 1)
    return -math.expm1(log)
