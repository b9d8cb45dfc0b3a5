def acceptance_probability(p, q, token):
    ratio = torch.where(q > 0, p / q, (p > 0).to(p.dtype))
    return ratio.clamp(max=1)[token].item()
