# exercise: expected_experts
def expected_experts(n_experts, k, n_tokens):
    miss = math.comb(n_experts - 1, k) / math.comb(n_experts, k)
    return float(n_experts * (1 - miss**n_tokens))
