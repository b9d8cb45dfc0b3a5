# exercise: repeat_kv
def repeat_kv(x, n_rep):
    B, H, T, D = x.shape
    return x[:, :, None].expand(B, H, n_rep, T, D)
