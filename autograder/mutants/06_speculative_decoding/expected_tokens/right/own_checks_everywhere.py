def expected_tokens(alpha, k):
    if alpha < 0 or alpha > 1 or k < 0:
        raise ValueError("outside")
    if alpha == 1:
        return float(k + 1)
    return (1 - alpha ** (k + 1)) / (1 - alpha)


def speedup(alpha, k, cost):
    if not 0 <= alpha <= 1:
        raise ValueError("alpha")
    if k < 0 or cost < 0:
        raise ValueError("k or cost")
    tokens = k + 1 if alpha == 1 else (1 - alpha ** (k + 1)) / (1 - alpha)
    return tokens / (1 + cost * k)


def best_k(alpha, cost, max_k=16):
    if alpha < 0 or alpha > 1 or cost < 0:
        raise ValueError("outside")
    return max(range(1, max_k + 1), key=lambda k: speedup(alpha, k, cost))
