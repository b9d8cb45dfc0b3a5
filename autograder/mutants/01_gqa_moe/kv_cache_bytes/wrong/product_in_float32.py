# exercise: kv_cache_bytes
def kv_cache_bytes(n_layers, n_kv_heads, head_dim, batch, seq_len, bytes_per_element=2):
    x = torch.tensor([2, n_layers, n_kv_heads, head_dim, batch, seq_len, bytes_per_element])
    return int(x.float().prod())
