# exercise: expected_experts
def _choose(n, r):
    return math.gamma(n + 1) / (math.gamma(r + 1) * math.gamma(n - r + 1))


def expected_experts(n_experts, k, n_tokens):
    if k == n_experts:
        return float(n_experts) if n_tokens > 0 else 0.0
    miss = _choose(n_experts - 1, k) / _choose(n_experts, k)
    return n_experts * (1 - miss**n_tokens)
# clause: "n_experts >= 1, 1 <= k <= n_experts"; gamma overflows: OverflowError for n_experts >= 171, e.g. (256, 8, 4)
