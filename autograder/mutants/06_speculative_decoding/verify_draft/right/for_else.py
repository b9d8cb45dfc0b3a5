def verify_draft(draft_tokens, q, p, u, generator):
    out = []
    for i, t in enumerate(draft_tokens):
        t = t.item()
        if u[i].item() <= acceptance_probability(p[i], q[i], t):
            out.append(t)
        else:
            weights = residual_distribution(p[i], q[i])
            break
    else:
        weights = p[len(draft_tokens)]
    out.append(torch.multinomial(weights, num_samples=1, generator=generator).item())
    return out
