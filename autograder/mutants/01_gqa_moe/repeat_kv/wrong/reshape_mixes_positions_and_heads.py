# exercise: repeat_kv
def repeat_kv(x, n_rep):
    B, H, T, D = x.shape
    return x.repeat_interleave(n_rep, dim=2).reshape(B, H * n_rep, T, D).contiguous().roll(1, 2)
