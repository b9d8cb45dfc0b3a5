def verify_draft(draft_tokens, q, p, u, generator):
    tokens = []
    for i in range(len(draft_tokens)):
        t = int(draft_tokens[i])
        if u[i] <= p[i, t] / q[i, t]:
            tokens.append(t)
        else:
            r = (p[i] - q[i]).clamp(min=0)
            r = r / r.sum()
            tokens.append(int(torch.multinomial(r, 1, generator=generator)))
            return tokens
    tokens.append(int(torch.multinomial((p[-1] > 0).float(), 1, generator=generator)))
    return tokens
