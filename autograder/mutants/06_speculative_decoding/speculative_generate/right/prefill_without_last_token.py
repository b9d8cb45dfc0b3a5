@torch.no_grad()
def speculative_generate(
    target, draft, input_ids, max_new_tokens, k, temperature, eos_id, generator
):
    length = input_ids.shape[1]
    caches = [(target, DynamicCache()), (draft, DynamicCache())]

    def feed(which, ids):
        model, cache = caches[which]
        seen = cache.get_seq_length()
        logits = model(input_ids=ids[:, seen:], past_key_values=cache, use_cache=True).logits[0]
        if temperature == 0:
            return torch.zeros_like(logits).scatter(1, logits.argmax(1, keepdim=True), 1.0)
        return (logits / temperature).softmax(1)

    ids = input_ids
    if length > 1:
        feed(0, ids[:, :-1])
        feed(1, ids[:, :-1])
    while True:
        room = length + max_new_tokens - ids.shape[1]
        if room == 0 or (ids.shape[1] > length and eos_id is not None and ids[0, -1] == eos_id):
            return ids
        longer, q = ids, []
        for _ in range(min(k, room - 1)):
            q.append(feed(1, longer)[-1])
            longer = torch.cat([longer, torch.multinomial(q[-1], 1, generator=generator)[None]], 1)
        p = feed(0, longer)[-len(q) - 1 :]
        guesses = longer[0, ids.shape[1] :]
        new = []
        for i, g in enumerate(guesses):
            if torch.rand((), generator=generator) >= p[i, g] / q[i][g]:
                break
            new.append(int(g))
        n = len(new)
        weights = p[n] if n == len(q) else residual_distribution(p[n], q[n])
        new.append(int(torch.multinomial(weights, 1, generator=generator)))
        if eos_id in new:
            new = new[: new.index(eos_id) + 1]
        ids = torch.cat([ids, torch.tensor([new])], 1)
        for _, cache in caches:
            cache.crop(-max(0, cache.get_seq_length() - ids.shape[1] + 1))
