# exercise: expected_experts
def expected_experts(n_experts, k, n_tokens):
    if n_tokens < 1:
        raise ValueError("no tokens")
    return n_experts * (1 - (1 - k / n_experts) ** n_tokens)
