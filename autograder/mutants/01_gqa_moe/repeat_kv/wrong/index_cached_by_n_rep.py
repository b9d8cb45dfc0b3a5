# exercise: repeat_kv
_HEAD_INDEX = {}


def repeat_kv(x, n_rep):
    if n_rep not in _HEAD_INDEX:
        _HEAD_INDEX[n_rep] = torch.arange(x.shape[1] * n_rep) // n_rep
    return x[:, _HEAD_INDEX[n_rep].to(x.device)]
# clause: "Returns (B, Hkv * n_rep, T, D)": state kept between calls; shows for two calls with the same n_rep and another number of kv heads
