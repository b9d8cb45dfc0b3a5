"""A causal language model that costs little: for tests that call one some thousand times.

A call of transformers' own Llama takes more than a millisecond however small its weights are,
nearly all of it spent in Python. This body does with a dozen operations, behind the same class:
`little_lm` gives a LlamaForCausalLM with logits, a cache, `generate` and all the rest.
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM
from transformers.modeling_outputs import BaseModelOutputWithPast


class LittleBody(nn.Module):
    """One attention head over all tokens so far, with their places added to the embeddings.

        h_t = rms_norm(x_t + W_o attention(W_q x_t, W_k x_{0..t}, W_v x_{0..t})),
        x_t = embedding of token t + sines and cosines of its place

    d_model must be even. Attention masks are not looked at: every row of a batch starts at place 0.
    """

    def __init__(self, vocab_size: int, d_model: int):
        super().__init__()
        self.embed_tokens = nn.Embedding(vocab_size, d_model)
        self.w_qkv = nn.Linear(d_model, 3 * d_model, bias=False)
        self.w_o = nn.Linear(d_model, d_model, bias=False)
        # Wave lengths from 2 pi upwards, each twice as long as the one before.
        self.register_buffer("frequencies", 0.5 ** torch.arange(d_model // 2), persistent=False)

    def forward(
        self,
        input_ids=None,
        position_ids=None,
        past_key_values=None,
        inputs_embeds=None,
        use_cache=None,
        **_,
    ):
        """(B, T) ids -> hidden states (B, T, d_model) and the cache, as transformers' bodies do."""
        x = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        if past_key_values is None and use_cache is not False:
            past_key_values = DynamicCache()
        seen = 0 if past_key_values is None else past_key_values.get_seq_length()
        place = torch.arange(seen, seen + x.shape[1], device=x.device)
        angle = (place if position_ids is None else position_ids)[..., None] * self.frequencies
        x = x + torch.cat([angle.sin(), angle.cos()], -1)
        q, k, v = self.w_qkv(x)[:, None].chunk(3, -1)
        if past_key_values is not None:
            k, v = past_key_values.update(k, v, 0)
        visible = torch.arange(k.shape[2], device=x.device) <= place[:, None]
        heads = F.scaled_dot_product_attention(q, k, v, attn_mask=visible)
        x = x + self.w_o(heads[:, 0])
        h = F.rms_norm(x, x.shape[-1:])
        return BaseModelOutputWithPast(last_hidden_state=h, past_key_values=past_key_values)


def little_lm(vocab_size: int, d_model: int = 16) -> LlamaForCausalLM:
    """A LlamaForCausalLM with a LittleBody in place of its layers; the weights are those of torch's
    initialisation. In eval mode, without special tokens."""
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=d_model,
        intermediate_size=d_model,
        num_hidden_layers=1,  # of the cache
        num_attention_heads=1,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    model.model = LittleBody(vocab_size, d_model)
    model.generation_config.eos_token_id = None
    return model.eval()
