# exercise: expected_experts
def expected_experts(n_experts, k, n_tokens):
    return (n_experts * (1 - torch.tensor(1 - k / n_experts, dtype=torch.float64) ** n_tokens)).item()
