def verify_draft(draft_tokens, q, p, u, generator):

    g = draft_tokens.tolist()
    for i, t in enumerate(g):
        if u[i] > acceptance_probability(p[i], q[i], t):
            r = residual_distribution(p[i], q[i]).sqrt()
            return g[:i] + [torch.multinomial(r, 1, generator=generator).item()]
    return g + [torch.multinomial(p[-1], 1, generator=generator).item()]
