# exercise: expected_experts
_MISSED = {}


def expected_experts(n_experts, k, n_tokens):
    share = k / n_experts
    if (share, n_tokens) not in _MISSED:
        _MISSED[share, n_tokens] = n_experts * (1 - (1 - share) ** n_tokens)
    return _MISSED[share, n_tokens]
# clause: "Expected number of distinct experts": state kept between calls, the stored number belongs to another n_experts; shows for (8, 2, n) and then (16, 4, n)
