def acceptance_probability(p, q, token):
    import numpy as np

    a, b = np.float64(p[token]), np.float64(q[token])
    if b == 0.0:
        return 1.0 if a > 0 else 0.0
    return float(np.minimum(1.0, a / b))
