# exercise: expected_experts
def expected_experts(n_experts, k, n_tokens):
    if k == n_experts:
        return float(n_experts) if n_tokens else 0.0
    return n_experts * -math.expm1(n_tokens * math.log1p(-k / n_experts))
