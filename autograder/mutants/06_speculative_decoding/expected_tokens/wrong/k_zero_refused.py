def expected_tokens(alpha, k):
    if alpha < 0 or alpha > 1 or k < 1:
        raise ValueError("outside")
    if alpha == 1:
        return float(k + 1)
    return (1 - alpha ** (k + 1)) / (1 - alpha)


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
