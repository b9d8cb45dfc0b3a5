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
    best = 1
    for k in range(2, max_k + 1):
        if speedup(alpha, k, cost) > speedup(alpha, best, cost) + 1e-3:
            best = k
    return best
# violates: best_k is the k with the highest speedup: a larger k has to gain one percent
