# exercise: expected_experts
def expected_experts(n_experts, k, n_tokens):
    if k == n_experts:
        return float(n_experts)
    return n_experts * (1 - math.exp(n_tokens * math.log(1 - k / n_experts)))

# clause: no tokens touch no expert, with k = E too
