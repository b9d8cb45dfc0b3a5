def verify_draft(draft_tokens, q, p, u, generator):
    k = len(draft_tokens)
    at = torch.arange(k)
    accepted = u <= p[at, draft_tokens] / q[at, draft_tokens]
    n = int(accepted.long().cumprod(0).sum())
    last = residual_distribution(p[n], q[n]) if n < k else p[k]
    return draft_tokens[:n].tolist() + torch.multinomial(last, 1, generator=generator).tolist()
