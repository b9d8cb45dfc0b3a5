# exercise: moe_param_counts
def moe_param_counts(config):
    answers = []
    for experts in (config.n_experts, config.experts_per_token):
        n = config.vocab_size * config.hidden_size
        if not config.tied_embeddings:
            n += config.vocab_size * config.hidden_size
        for _ in range(config.n_layers):
            for heads in (config.n_heads, config.n_kv_heads, config.n_kv_heads):
                n += config.hidden_size * heads * config.head_dim
                if config.attention_bias:
                    n += heads * config.head_dim
            n += config.n_heads * config.head_dim * config.hidden_size
            n += 2 * config.hidden_size
            n += experts * 3 * config.hidden_size * config.d_ff
            if config.n_experts != 1:
                n += config.n_experts * config.hidden_size
        n += config.hidden_size
        answers.append(n)
    return tuple(answers)
