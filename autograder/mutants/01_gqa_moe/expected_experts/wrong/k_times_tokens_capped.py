# exercise: expected_experts
def expected_experts(n_experts, k, n_tokens):
    return float(min(n_experts, k * n_tokens))
