# exercise: repeat_kv
def repeat_kv(x, n_rep):
    """A view with stride 0 along the copies: no memory until the reshape."""
    B, H, T, D = x.shape
    view = x.as_strided((B, H, n_rep, T, D), (H * T * D, T * D, 0, D, 1))
    return view.reshape(B, H * n_rep, T, D)
# clause: "head h of the result is head h // n_rep of x"; the strides are those of a contiguous x, so the numbers are wrong without an error for x = y.view(B, T, Hkv, D).transpose(1, 2) with T, Hkv > 1
