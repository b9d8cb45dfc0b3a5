# exercise: expected_experts
def expected_experts(n_experts, k, n_tokens):
    return n_experts * -math.expm1(n_tokens * math.log(1 - k / n_experts))
