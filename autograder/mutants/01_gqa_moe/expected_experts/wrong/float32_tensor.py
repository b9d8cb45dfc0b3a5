# exercise: expected_experts
def expected_experts(n_experts, k, n_tokens):
    miss = torch.tensor(1 - k / n_experts) ** n_tokens
    return (n_experts * (1 - miss)).item()
# clause: "Returns a float", E · (1 - (1 - k/E)^n); float32 loses the small difference from 1: (10**6, 1, 1) gives 1.01 instead of 1
