# exercise: verify_draft
def verify_draft(draft_tokens, q, p, u, generator):
    out = []
    for i, token in enumerate(draft_tokens.tolist()):
        if float(u[i]) > acceptance_probability(p[i], q[i], token):
            r = residual_distribution(p[i], q[i])
            out.append(int(torch.multinomial(r, 1, generator=generator)))
            break
        out.append(token)
    if len(out) == i + 1 and out == draft_tokens.tolist():
        out.append(int(torch.multinomial(p[i + 1], 1, generator=generator)))
    return out
# clause: "k may be 0, then the bonus comes alone"; UnboundLocalError (i) for k = 0
