def expected_tokens(alpha, k):
    if not (0 <= alpha <= 1) or k < 0:
        raise ValueError("alpha in [0, 1], k >= 0")
    total, power = 1.0, 1.0
    for _ in range(k):
        power *= alpha
        total += power
    return total


def speedup(alpha, k, cost):
    if cost < 0:
        raise ValueError("cost")
    return expected_tokens(alpha, k) / (k * cost + 1)


def best_k(alpha, cost, max_k=16):
    gains = [speedup(alpha, k, cost) for k in range(1, max_k + 1)]
    return 1 + gains.index(max(gains))
