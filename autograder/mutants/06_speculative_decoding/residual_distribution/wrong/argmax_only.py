def residual_distribution(p, q):
    r = (p - q).clamp(min=0)
    return F.one_hot(r.argmax(), len(p)).to(p.dtype) if r.sum() > 0 else p
