# exercise: repeat_kv
def repeat_kv(x, n_rep):
    return x.repeat_interleave(n_rep, dim=0)
