# exercise: moe_param_counts
def moe_param_counts(config):
    d = config.hidden_size
    attn = d * config.head_dim * (2 * config.n_heads + 2 * config.n_kv_heads)
    attn += config.attention_bias * config.head_dim * (config.n_heads + 2 * config.n_kv_heads)
    expert = 3 * d * config.d_ff
    layer = attn + 2 * d + config.n_experts * expert + (config.n_experts > 1) * d * config.n_experts
    total = config.n_layers * layer + d + config.vocab_size * d * (2 - config.tied_embeddings)
    idle = config.n_experts - config.experts_per_token
    return total, total - config.n_layers * idle * expert
