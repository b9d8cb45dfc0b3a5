@torch.no_grad()
def speculative_generate(
    target, draft, input_ids, max_new_tokens, k, temperature, eos_id, generator
):
    def probs(logits):
        if temperature == 0:
            return F.one_hot(logits.argmax(-1), logits.shape[-1]).float()
        return (logits.float() / temperature).softmax(-1)

    ids = input_ids[0].tolist()
    start = len(ids)
    tc, dc = DynamicCache(), DynamicCache()
    while len(ids) - start < max_new_tokens:
        n = min(k, max_new_tokens - (len(ids) - start) - 1)
        guesses, qs = [], []
        for j in range(n):
            feed = (ids + guesses)[dc.get_seq_length():]
            out = draft(input_ids=torch.tensor([feed]), past_key_values=dc, use_cache=True)
            q = probs(out.logits[0, -1])
            qs.append(q)
            guesses.append(int(torch.multinomial(q, 1, generator=generator)))
        feed = (ids + guesses)[tc.get_seq_length():]
        out = target(input_ids=torch.tensor([feed]), past_key_values=tc, use_cache=True)
        p = probs(out.logits[0, -(n + 1):])
        new = []
        for j, g in enumerate(guesses):
            u = float(torch.rand(1, generator=generator))
            if u < acceptance_probability(p[j], qs[j], g):
                new.append(g)
            else:
                r = residual_distribution(p[j], (qs[j] + 1e-9).log().mul(temperature or 1).softmax(-1))
                new.append(int(torch.multinomial(r, 1, generator=generator)))
                break
        else:
            new.append(int(torch.multinomial(p[n], 1, generator=generator)))
        if eos_id is not None and eos_id in new:
            return torch.tensor([ids + new[: new.index(eos_id) + 1]])
        ids = ids + new
        for cache in (tc, dc):
            extra = cache.get_seq_length() - (len(ids) - 1)
            if extra > 0:
                cache.crop(-extra)
    return torch.tensor([ids])
