# exercise: repeat_kv
def repeat_kv(x, n_rep):
    B, H, T, D = x.shape
    rows = x.view(B * H, T * D)
    rows = rows.repeat_interleave(n_rep, dim=0)
    return rows.view(B, H * n_rep, T, D)
# clause: "x: (B, Hkv, T, D), any dtype": any tensor of this shape; shows for x = y.view(B, T, Hkv, D).transpose(1, 2), which is not contiguous: RuntimeError
