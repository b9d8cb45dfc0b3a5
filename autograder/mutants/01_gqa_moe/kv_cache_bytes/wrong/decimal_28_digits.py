# exercise: kv_cache_bytes
from decimal import Decimal


def kv_cache_bytes(n_layers, n_kv_heads, head_dim, batch, seq_len, bytes_per_element=2):
    total = Decimal(2)
    for factor in (n_layers, n_kv_heads, head_dim, batch, seq_len, bytes_per_element):
        total *= factor
    return int(total)

# clause: exact however large
