# exercise: repeat_kv
def repeat_kv(x, n_rep):
    out = torch.stack([x] * (n_rep - 1), dim=2)
    return torch.cat([out, x[:, :, None]], dim=2).flatten(1, 2)
