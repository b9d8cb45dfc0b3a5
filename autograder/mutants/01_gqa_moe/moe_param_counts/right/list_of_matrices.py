# exercise: moe_param_counts
def moe_param_counts(config):
    def count(experts):
        d, q, kv = config.hidden_size, config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
        shapes = [(d, q), (d, kv), (d, kv), (q, d), (d, 1), (d, 1)]
        if config.n_experts > 1:
            shapes.append((config.n_experts, d))
        if config.attention_bias:
            shapes += [(q, 1), (kv, 1), (kv, 1)]
        shapes += [(d, config.d_ff)] * 3 * experts if experts < 100 else [(3 * experts * d, config.d_ff)]
        once = [(config.vocab_size, d), (1, d)]
        if not config.tied_embeddings:
            once.append((config.vocab_size, d))
        return sum(a * b for a, b in once) + config.n_layers * sum(a * b for a, b in shapes)

    return count(config.n_experts), count(config.experts_per_token)
