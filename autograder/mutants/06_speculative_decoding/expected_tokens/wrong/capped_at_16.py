# exercise: expected_tokens
def expected_tokens(alpha, k):
    if not 0 <= alpha <= 1 or k < 0:
        raise ValueError("alpha or k")
    return float(sum(alpha**i for i in range(k + 1)))


def speedup(alpha, k, cost):
    if cost < 0:
        raise ValueError("cost")
    return expected_tokens(alpha, k) / (k * cost + 1)


def best_k(alpha, cost, max_k=16):
    return max(range(1, min(max_k, 16) + 1), key=lambda k: speedup(alpha, k, cost))
# violates: the k in 1 ... max_k: a max_k above 16 is not reached
