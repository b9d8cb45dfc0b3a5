# exercise: expected_experts
def expected_experts(n_experts, k, n_tokens):
    if n_experts == 1:
        return 1.0
    return float(n_experts * (1 - (1 - k / n_experts) ** n_tokens))

# clause: no tokens touch no expert
