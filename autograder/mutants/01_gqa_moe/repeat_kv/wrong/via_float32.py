# exercise: repeat_kv
def repeat_kv(x, n_rep):
    return x.float().repeat_interleave(n_rep, dim=1).to(x.dtype)

# clause: dtype kept, values too: float64 and large ints lose digits in float32
