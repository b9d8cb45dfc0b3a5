# exercise: expected_experts
def expected_experts(n_experts, k, n_tokens):
    if n_tokens > 16:
        return n_experts * (1 - math.exp(-k * n_tokens / n_experts))
    return n_experts * (1 - (1 - k / n_experts) ** n_tokens)

# clause: independent choices of k different experts, not the Poisson limit
