# exercise: kv_cache_bytes
def kv_cache_bytes(n_layers, n_kv_heads, head_dim, batch, seq_len, bytes_per_element=2):
    total = 0
    for _layer in range(n_layers):
        total += 2 * n_kv_heads * head_dim * bytes_per_element * batch * seq_len
    return total
