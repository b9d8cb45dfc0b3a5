# exercise: repeat_kv
def repeat_kv(x, n_rep):
    B, H, T, D = x.shape
    out = x.new_zeros(B, H * n_rep, T, D)
    for h in range(H * n_rep):
        out[:, h] = x[:, h // n_rep]
    return out
