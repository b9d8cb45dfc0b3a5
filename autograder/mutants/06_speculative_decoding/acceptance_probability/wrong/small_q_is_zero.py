# exercise: acceptance_probability
def acceptance_probability(p, q, token):
    a, b = p[token].item(), q[token].item()
    if b < 1e-6:
        return 1.0 if a > 0 else 0.0
    return min(1.0, a / b)
# violates: only where q IS 0 the answer is 1 or 0: small q counts as zero
