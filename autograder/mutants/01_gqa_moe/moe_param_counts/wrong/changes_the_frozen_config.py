# exercise: moe_param_counts
def _layer(c, router):
    q, kv = c.n_heads * c.head_dim, c.n_kv_heads * c.head_dim
    size = 2 * c.hidden_size * (q + kv) + 2 * c.hidden_size + router
    size += (q + 2 * kv) if c.attention_bias else 0
    return size + c.n_experts * 3 * c.hidden_size * c.d_ff


def moe_param_counts(config):
    d = config.hidden_size
    outside = config.vocab_size * d * (1 if config.tied_embeddings else 2) + d
    router = d * config.n_experts if config.n_experts > 1 else 0
    total = outside + config.n_layers * _layer(config, router)
    object.__setattr__(config, "n_experts", config.experts_per_token)  # the active ones
    active = outside + config.n_layers * _layer(config, router)
    return total, active
# clause: "arguments are never modified" ("the given frozen dataclass ModelConfig"); the caller's config has n_experts == experts_per_token afterwards, so a second call gives another total
