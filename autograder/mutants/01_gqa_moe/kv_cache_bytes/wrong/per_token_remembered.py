# exercise: kv_cache_bytes
_PER_TOKEN = {}


def kv_cache_bytes(n_layers, n_kv_heads, head_dim, batch, seq_len, bytes_per_element=2):
    model = (n_layers, n_kv_heads, head_dim)
    if model not in _PER_TOKEN:
        _PER_TOKEN[model] = 2 * n_layers * n_kv_heads * head_dim * bytes_per_element
    return _PER_TOKEN[model] * batch * seq_len
# clause: "bytes_per_element is 2 for bfloat16, 4 for float32, 1 for 8 bit": state kept between calls, the element size of the first call stays; shows for a second call with the same sizes and another bytes_per_element
