# exercise: expected_experts
def expected_experts(n_experts, k, n_tokens):
    from fractions import Fraction

    if n_tokens > 1000:
        return float(n_experts * (1 - float(1 - Fraction(k, n_experts)) ** n_tokens))
    return float(n_experts * (1 - (1 - Fraction(k, n_experts)) ** n_tokens))
