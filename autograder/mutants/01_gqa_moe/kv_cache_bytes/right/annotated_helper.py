# exercise: kv_cache_bytes
def kv_cache_bytes(n_layers, n_kv_heads, head_dim, batch, seq_len, bytes_per_element=2) -> int:
    def per_token(layer_count: int) -> int:
        return 2 * layer_count * n_kv_heads * head_dim

    return per_token(n_layers) * bytes_per_element * (batch * seq_len)
