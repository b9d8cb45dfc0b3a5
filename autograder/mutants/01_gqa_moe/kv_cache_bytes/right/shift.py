# exercise: kv_cache_bytes
def kv_cache_bytes(n_layers, n_kv_heads, head_dim, batch, seq_len, bytes_per_element=2):
    return (n_layers * n_kv_heads * head_dim * batch * seq_len * bytes_per_element) << 1
