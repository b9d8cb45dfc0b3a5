# exercise: repeat_kv
def repeat_kv(x, n_rep):
    return x.repeat_interleave(2, dim=1)
