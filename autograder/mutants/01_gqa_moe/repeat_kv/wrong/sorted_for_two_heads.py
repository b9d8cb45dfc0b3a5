# exercise: repeat_kv
def repeat_kv(x, n_rep):
    H = x.shape[1]
    tiled = x.repeat(1, n_rep, 1, 1)
    if n_rep > 4:  # "many heads": the simple order
        return tiled
    order = [h + r * H for h in range(H) for r in range(n_rep)]
    return tiled[:, order]

# clause: order of A B C: hard-coded stride of the notebook's two heads
