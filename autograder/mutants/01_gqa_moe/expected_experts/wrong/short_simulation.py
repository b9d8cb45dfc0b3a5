# exercise: expected_experts
def expected_experts(n_experts, k, n_tokens):
    total = 0
    for _ in range(50):
        seen = set()
        for _ in range(min(n_tokens, 100)):
            seen.update(torch.randperm(n_experts)[:k].tolist())
        total += len(seen)
    return total / 50
