# exercise: expected_experts
def expected_experts(n_experts, k, n_tokens):
    if k == n_experts:
        return n_experts
    if n_tokens == 0:
        return 0
    return n_experts * (1 - (1 - k / n_experts) ** n_tokens)
