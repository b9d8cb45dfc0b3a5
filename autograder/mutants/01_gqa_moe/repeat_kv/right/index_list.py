# exercise: repeat_kv
def repeat_kv(x, n_rep):
    return x[:, [h // n_rep for h in range(x.shape[1] * n_rep)]]
