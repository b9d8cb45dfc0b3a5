# exercise: speculative_generate
@torch.inference_mode()
def speculative_generate(
    target, draft, input_ids, max_new_tokens, k, temperature, eos_id, generator
):
    def distribution(logits):
        if temperature == 0:
            return F.one_hot(logits.argmax(-1), logits.shape[-1]).float()
        return torch.softmax(logits.float() / temperature, dim=-1)

    def read(model, new, cache, rows):
        new = torch.tensor([new], device=input_ids.device)
        out = model(input_ids=new, past_key_values=cache, use_cache=True, logits_to_keep=rows)
        return distribution(out.logits[0, -rows:])

    ids = input_ids[0].tolist()
    start, end = len(ids), len(ids) + max_new_tokens
    big, small = DynamicCache(), DynamicCache()
    once = 1 - torch.rand(k, generator=generator)
    while len(ids) < end:
        guesses, q = [], []
        for _ in range(min(k, end - len(ids) - 1)):
            row = read(draft, (ids + guesses)[small.get_seq_length() :], small, 1)[0]
            guesses.append(int(torch.multinomial(row, 1, generator=generator)))
            q.append(row)
        n = len(guesses)
        p = read(target, (ids + guesses)[big.get_seq_length() :], big, n + 1)
        u = once[:n]
        q = torch.stack(q) if q else p[:0]
        new = verify_draft(torch.tensor(guesses, dtype=torch.long), q, p, u, generator)
        if eos_id in new:
            ids += new[: new.index(eos_id) + 1]
            break
        ids += new
        for cache in (big, small):
            surplus = cache.get_seq_length() - (len(ids) - 1)
            if surplus > 0:
                cache.crop(-surplus)
    return torch.tensor([ids], device=input_ids.device)
# violates: the target's distribution: the same numbers u judge every round
