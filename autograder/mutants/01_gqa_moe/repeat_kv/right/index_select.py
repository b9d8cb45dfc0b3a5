# exercise: repeat_kv
def repeat_kv(x, n_rep):
    heads = torch.arange(x.shape[1] * n_rep) // n_rep
    return torch.index_select(x, 1, heads)
