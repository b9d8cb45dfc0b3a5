def expected_tokens(alpha, k):
    if not 0 <= alpha <= 1:
        raise ValueError(alpha)
    if k < 0:
        raise ValueError(k)
    return 1.0 if k == 0 else 1.0 + alpha * expected_tokens(alpha, k - 1)


def speedup(alpha, k, cost):
    if cost < 0:
        raise ValueError("cost")
    return expected_tokens(alpha, k) / (k * cost + 1)


def best_k(alpha, cost, max_k=16):
    best = 1
    for k in range(2, max_k + 1):
        if speedup(alpha, k, cost) > speedup(alpha, best, cost):
            best = k
    return best
