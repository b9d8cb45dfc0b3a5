def verify_draft(draft_tokens, q, p, u, generator):
    def draw(weights):
        noise = -torch.log(torch.rand(len(weights), generator=generator).clamp(min=1e-20))
        return int((weights / noise).argmax())

    n = 0
    while n < len(draft_tokens) and u[n] <= acceptance_probability(p[n], q[n], int(draft_tokens[n])):
        n += 1
    last = p[n] if n == len(draft_tokens) else residual_distribution(p[n], q[n])
    return [int(t) for t in draft_tokens[:n]] + [draw(last)]
