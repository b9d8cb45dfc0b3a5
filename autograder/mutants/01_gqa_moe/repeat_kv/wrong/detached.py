# exercise: repeat_kv
def repeat_kv(x, n_rep):
    return x.detach().repeat_interleave(n_rep, dim=1)
