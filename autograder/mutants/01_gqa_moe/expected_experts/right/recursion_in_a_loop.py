# exercise: expected_experts
def expected_experts(n_experts, k, n_tokens):
    touched = 0.0
    for _ in range(n_tokens):
        touched = touched + (n_experts - touched) * k / n_experts
    return touched
