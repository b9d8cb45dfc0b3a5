@torch.no_grad()
def speculative_generate(
    target, draft, input_ids, max_new_tokens, k, temperature, eos_id, generator
):
    ids, cache = input_ids, DynamicCache()
    for _ in range(max_new_tokens):
        new = ids[:, cache.get_seq_length() :]
        logits = target(input_ids=new, past_key_values=cache).logits[0, -1]
        if temperature == 0:
            token = logits.argmax().view(1)
        else:
            token = torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)
        ids = torch.cat([ids, token[None]], 1)
        if eos_id is not None and token == eos_id:
            break
    return ids
