@torch.no_grad()
def speculative_generate(
    target, draft, input_ids, max_new_tokens, k, temperature, eos_id, generator
):
    def probs(logits):
        if temperature == 0:
            return F.one_hot(logits.argmax(-1), logits.shape[-1]).float()
        return torch.softmax(logits.float() / temperature, -1)

    ids, start = input_ids.clone(), input_ids.shape[1]
    t_cache, d_cache = DynamicCache(), DynamicCache()
    while ids.shape[1] < start + max_new_tokens:
        n = min(k, start + max_new_tokens - ids.shape[1] - 1)
        text, q = ids, []
        for _ in range(n):
            new = text[:, d_cache.get_seq_length() :]
            row = draft(input_ids=new, past_key_values=d_cache, use_cache=True).logits[0, -1:]
            q.append(probs(row) if temperature == 0 else row.softmax(-1))
            guess = torch.multinomial(q[-1], 1, generator=generator)
            text = torch.cat([text, guess], dim=1)
        new = text[:, t_cache.get_seq_length() :]
        p = probs(target(input_ids=new, past_key_values=t_cache, use_cache=True).logits[0, -(n + 1) :])
        u = torch.rand(n, generator=generator).clamp(min=1e-9)
        if n:
            tokens = verify_draft(text[0, ids.shape[1] :], torch.cat(q), p, u, generator)
        else:
            tokens = [int(torch.multinomial(p[0], 1, generator=generator))]
        stop = eos_id is not None and eos_id in tokens
        if stop:
            tokens = tokens[: tokens.index(eos_id) + 1]
        ids = torch.cat([ids, torch.tensor([tokens])], dim=1)
        if stop:
            break
        for cache in (t_cache, d_cache):
            extra = cache.get_seq_length() - (ids.shape[1] - 1)
            if extra > 0:
                cache.crop(-extra)
    return ids
