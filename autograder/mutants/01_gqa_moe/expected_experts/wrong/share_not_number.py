# exercise: expected_experts
def expected_experts(n_experts, k, n_tokens):
    return 1 - (1 - k / n_experts) ** n_tokens
