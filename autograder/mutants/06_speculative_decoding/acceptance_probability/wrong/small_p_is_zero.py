# exercise: acceptance_probability
def acceptance_probability(p, q, token):
    a, b = p[token].item(), q[token].item()
    if math.isclose(b, 0, abs_tol=0.0):
        return 1.0 if a > 1e-6 else 0.0
    return min(1.0, a / b)
# violates: 1.0 if p > 0 where q is 0: a small p counts as zero
