def acceptance_probability(p, q, token):
    a, b = p[token].item(), q[token].item()
    try:
        return min(a / b, 1.0)
    except ZeroDivisionError:
        return 1.0 if a else 0.0
