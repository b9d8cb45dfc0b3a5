@torch.no_grad()
def speculative_generate(
    target, draft, input_ids, max_new_tokens, k, temperature, eos_id, generator
):
    def dist(logits):
        if temperature == 0:
            return F.one_hot(logits.argmax(-1), logits.shape[-1]).double()
        return (logits.double() / temperature).softmax(-1)

    def pick(row):
        return int(torch.multinomial(row, 1, generator=generator))

    out = target(input_ids=input_ids, use_cache=True)
    t_cache = out.past_key_values
    d_cache = draft(input_ids=input_ids, use_cache=True).past_key_values
    ids = input_ids[0].tolist()
    goal = len(ids) + max_new_tokens
    ids.append(pick(dist(out.logits[0, -1])))
    while len(ids) < goal and ids[-1] != eos_id:
        n = min(k, goal - len(ids) - 1)
        guesses, rows = [], []
        for _ in range(n):
            todo = (ids + guesses)[d_cache.get_seq_length() :]
            logits = draft(input_ids=torch.tensor([todo]), past_key_values=d_cache).logits
            rows.append(dist(logits[0, -1]))
            guesses.append(pick(rows[-1]))
        logits = target(
            input_ids=torch.tensor([[ids[-1]] + guesses]), past_key_values=t_cache
        ).logits
        p = dist(logits[0])
        fresh = []
        for i in range(n):
            g = guesses[i]
            if torch.rand(1, generator=generator).item() * rows[i][g] < p[i][g]:
                fresh.append(g)
            else:
                fresh.append(pick((p[i] - rows[i]).clamp(min=0)))
                break
        else:
            fresh.append(pick(p[n]))
        if eos_id in fresh:
            fresh = fresh[: fresh.index(eos_id) + 1]
        ids += fresh
        for cache in (t_cache, d_cache):
            while cache.get_seq_length() > len(ids) - 1:
                cache.crop(-1)
    return torch.tensor([ids])
