def verify_draft(draft_tokens, q, p, u, generator):
    k = draft_tokens.numel()
    spare = [torch.multinomial(residual_distribution(p[i], q[i]), 1, generator=generator).item() for i in range(k)]
    bonus = torch.multinomial(p[k], 1, generator=generator).item()
    for i in range(k):
        if u[i] > p[i][draft_tokens[i]] / q[i][draft_tokens[i]]:
            return draft_tokens[:i].tolist() + [spare[i]]
    return draft_tokens.tolist() + [bonus]
