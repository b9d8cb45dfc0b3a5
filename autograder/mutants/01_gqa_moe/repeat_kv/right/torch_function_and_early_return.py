# exercise: repeat_kv
def repeat_kv(x, n_rep):
    if n_rep == 1:
        return x
    return torch.repeat_interleave(x, repeats=n_rep, dim=-3)
