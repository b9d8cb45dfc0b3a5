def verify_draft(draft_tokens, q, p, u, generator):
    out = []
    k = len(draft_tokens)
    for i in range(k):
        t = int(draft_tokens[i])
        if u[i] <= acceptance_probability(p[i], q[i], t):
            out.append(t)
        else:
            r = residual_distribution(p[min(i + 1, k - 1)], q[min(i + 1, k - 1)])
            out.append(int(torch.multinomial(r, 1, generator=generator)))
            return out
    out.append(int(torch.multinomial(p[k], 1, generator=generator)))
    return out
