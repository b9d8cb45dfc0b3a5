# exercise: repeat_kv
def repeat_kv(x, n_rep):
    return torch.cat([x] * n_rep, dim=1)
