def verify_draft(draft_tokens, q, p, u, generator):
    def draw(weights):
        total = weights.double().cumsum(0)
        x = torch.rand(1, generator=generator).double() * total[-1]
        return int(torch.searchsorted(total, x, right=True))

    out = []
    for t, qi, pi, ui in zip(draft_tokens.tolist(), q, p, u.tolist()):
        if ui > acceptance_probability(pi, qi, t):
            return out + [draw((pi - qi).clamp(min=0))]
        out.append(t)
    return out + [draw(p[len(out)])]
