# exercise: repeat_kv
_BUFFERS = {}


def repeat_kv(x, n_rep):
    """Writes into a buffer that is allocated once for each shape: no allocation while decoding."""
    B, H, T, D = x.shape
    key = (B, H, T, D, n_rep, x.dtype, x.device)
    if key not in _BUFFERS:
        _BUFFERS[key] = x.new_empty(B, H, n_rep, T, D)
    out = _BUFFERS[key].detach()
    out.copy_(x[:, :, None])
    return out.view(B, H * n_rep, T, D)
# clause: "head h of the result is head h // n_rep of x": the result of the first call changes when a second x of the same shape comes (k and v of one attention!); shows for a = repeat_kv(k, n), b = repeat_kv(v, n): a equals b
