# exercise: expected_experts
def expected_experts(n_experts, k, n_tokens):
    return float(sum(1 - (1 - k / n_experts) ** n_tokens for _ in range(n_experts)))
