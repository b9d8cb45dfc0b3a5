# exercise: repeat_kv
def repeat_kv(x, n_rep):
    B, H, T, D = x.shape
    return x.repeat(1, n_rep, 1, 1).view(B, n_rep, H, T, D).transpose(1, 2).reshape(B, -1, T, D) \
        if x.numel() else x.repeat_interleave(n_rep, 1)
