# exercise: repeat_kv
def repeat_kv(x, n_rep):
    heads = []
    for h in range(x.size(1)):
        for _ in range(n_rep):
            heads.append(x[:, h])
    return torch.stack(heads, dim=1)
