# exercise: moe_param_counts
def moe_param_counts(config):
    c = config
    d = c.hidden_size
    q_dim = c.n_heads * c.head_dim
    kv_dim = c.n_kv_heads * c.head_dim
    attention = d * q_dim + 2 * d * kv_dim + q_dim * d
    if c.attention_bias:
        attention += q_dim + 2 * kv_dim
    router = d * c.n_experts if c.n_experts > 1 else 0
    norms = 2 * d
    ffn = 2 * d * c.d_ff
    embedding = c.vocab_size * d
    head = 0 if c.tied_embeddings else c.vocab_size * d
    total = embedding + head + d + c.n_layers * (attention + router + norms + c.n_experts * ffn)
    active = embedding + head + d + c.n_layers * (
        attention + router + norms + c.experts_per_token * ffn
    )
    return total, active
