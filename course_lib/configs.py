"""The sizes of real models, as their own config.json files give them."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class ModelConfig:
    """The sizes of a decoder-only transformer of the Llama family (RMSNorm, SwiGLU, RoPE).

    Sizes are counts, not bytes. ValueError when they cannot belong together.
    """

    hidden_size: int  # width of the residual stream, d
    n_layers: int  # transformer blocks
    n_heads: int  # query heads
    n_kv_heads: int  # key/value heads: n_heads in MHA, 1 in MQA, between them in GQA
    head_dim: int  # width of one head; n_heads * head_dim need not be hidden_size
    d_ff: int  # inner width of the feed-forward block, or of one expert
    vocab_size: int  # rows of the embedding, padding rows included
    n_experts: int = 1  # experts a layer; 1 is a dense model without a router
    experts_per_token: int = 1  # experts that each token visits
    tied_embeddings: bool = False  # whether the output layer is the embedding matrix itself
    attention_bias: bool = False  # whether q, k and v (never o) have biases, as in Qwen2

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is bool:
                good, want = isinstance(value, bool), "True or False"
            else:
                good = isinstance(value, int) and not isinstance(value, bool) and value >= 1
                want = "a whole number, 1 or more"
            if not good:
                raise ValueError(f"{field.name} must be {want}, not {value!r}")
        if self.n_heads % self.n_kv_heads:
            raise ValueError(
                f"n_heads ({self.n_heads}) must be a multiple of n_kv_heads ({self.n_kv_heads}): "
                "each kv head serves equally many query heads"
            )
        if self.experts_per_token > self.n_experts:
            raise ValueError(
                f"experts_per_token ({self.experts_per_token}) must not exceed "
                f"n_experts ({self.n_experts})"
            )


REAL_CONFIGS = {
    "Llama-2-7B": ModelConfig(4096, 32, 32, 32, 128, 11008, 32000),
    "Llama-3-8B": ModelConfig(4096, 32, 32, 8, 128, 14336, 128256),
    "Mixtral-8x7B": ModelConfig(4096, 32, 32, 8, 128, 14336, 32000, 8, 2),
    "Qwen2.5-7B": ModelConfig(3584, 28, 28, 4, 128, 18944, 152064, attention_bias=True),
    "Qwen2.5-Math-1.5B": ModelConfig(
        1536, 28, 12, 2, 128, 8960, 151936, tied_embeddings=True, attention_bias=True
    ),
}


def linear_shapes(config: ModelConfig) -> dict[str, tuple[int, int]]:
    """Full module name -> (out_features, in_features) of every projection inside the layers.

    Names are transformers' own ("model.layers.0.self_attn.q_proj"). For a mixture of experts
    they are those of the published checkpoint: the router "block_sparse_moe.gate" and for
    expert j "block_sparse_moe.experts.j.w1" (gate), "w3" (up) and "w2" (down); transformers 5
    fuses the experts into two tensors when it loads them. The output layer `lm_head` is left
    out, as peft's "all-linear" does.
    """
    d, d_ff = config.hidden_size, config.d_ff
    queries, keys = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
    block = {
        "self_attn.q_proj": (queries, d),
        "self_attn.k_proj": (keys, d),
        "self_attn.v_proj": (keys, d),
        "self_attn.o_proj": (d, queries),
    }
    if config.n_experts == 1:
        block |= {
            "mlp.gate_proj": (d_ff, d),
            "mlp.up_proj": (d_ff, d),
            "mlp.down_proj": (d, d_ff),
        }
    else:
        block["block_sparse_moe.gate"] = (config.n_experts, d)
        for j in range(config.n_experts):
            expert = f"block_sparse_moe.experts.{j}"
            block |= {f"{expert}.w1": (d_ff, d), f"{expert}.w3": (d_ff, d)}
            block[f"{expert}.w2"] = (d, d_ff)
    return {
        f"model.layers.{layer}.{name}": shape
        for layer in range(config.n_layers)
        for name, shape in block.items()
    }
