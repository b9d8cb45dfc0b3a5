# exercise: moe_param_counts
def moe_param_counts(config):
    def size(module):
        return sum(p.numel() for p in module.parameters())

    c = config
    with torch.device("meta"):
        attention = [
            nn.Linear(c.hidden_size, c.n_heads * c.head_dim, bias=c.attention_bias),
            nn.Linear(c.hidden_size, c.n_kv_heads * c.head_dim, bias=c.attention_bias),
            nn.Linear(c.hidden_size, c.n_kv_heads * c.head_dim, bias=c.attention_bias),
            nn.Linear(c.n_heads * c.head_dim, c.hidden_size, bias=False),
            nn.RMSNorm(c.hidden_size),
            nn.RMSNorm(c.hidden_size),
        ]
        if c.n_experts > 1:
            attention.append(nn.Linear(c.hidden_size, c.n_experts, bias=False))
        expert = size(SwiGLU(c.hidden_size, c.d_ff))
        outside = size(nn.Embedding(c.vocab_size, c.hidden_size)) + size(nn.RMSNorm(c.hidden_size))
        if not c.tied_embeddings:
            outside += size(nn.Linear(c.hidden_size, c.vocab_size, bias=False))
    shared = outside + c.n_layers * sum(size(m) for m in attention)
    return shared + c.n_layers * c.n_experts * expert, shared + c.n_layers * c.experts_per_token * expert
