# exercise: moe_param_counts
def moe_param_counts(config):
    h, D = config.hidden_size, config.head_dim
    layer = {
        "q": h * config.n_heads * D,
        "k": h * config.n_kv_heads * D,
        "v": h * config.n_kv_heads * D,
        "o": config.n_heads * D * h,
        "norms": h + h,
    }
    if config.attention_bias:
        layer["biases"] = config.n_heads * D + config.n_kv_heads * D + config.n_kv_heads * D
    if config.n_experts > 1:
        layer["router"] = h * config.n_experts
    outside = config.vocab_size * h + h + (0 if config.tied_embeddings else config.vocab_size * h)
    fixed = outside + config.n_layers * sum(layer.values())
    per_expert = config.n_layers * 3 * h * config.d_ff
    return (fixed + config.n_experts * per_expert, fixed + config.experts_per_token * per_expert)
