from transformers import DynamicCache
def speculative_generate(target, draft, input_ids, max_new_tokens, k, temperature, eos_id, generator):
    def dist(logits):
        if temperature == 0:
            return F.one_hot(logits.argmax(-1), logits.shape[-1]).float()
        return torch.softmax(logits.float() / temperature, -1)
    def draw(d):
        return int(d.argmax()) if temperature == 0 else int(torch.multinomial(d, 1, generator=generator))
    with torch.no_grad():
        ids = input_ids[0].tolist()
        end = len(ids) + max_new_tokens
        if max_new_tokens <= 0:
            return input_ids.clone()
        tc, dc = DynamicCache(config=target.config), DynamicCache(config=draft.config)
        first = dist(target(input_ids=input_ids, past_key_values=tc, use_cache=True).logits[0, -1])
        ids.append(draw(first))
        while len(ids) < end and ids[-1] != eos_id:
            g = min(k, end - len(ids) - 1)
            tokens, qs = [], []
            new = ids[dc.get_seq_length():]
            for _ in range(g):
                out = draft(input_ids=torch.tensor([new]), past_key_values=dc, use_cache=True)
                q = dist(out.logits[0, -1])
                t = int(q.argmax())
                tokens.append(t); qs.append(q); new = [t]
            out = target(input_ids=torch.tensor([ids[-1:] + tokens]), past_key_values=tc, use_cache=True)
            p = dist(out.logits[0])
            if g:
                emitted = verify_draft(torch.tensor(tokens), torch.stack(qs), p, torch.rand(g, generator=generator), generator)
            else:
                emitted = [draw(p[0])]
            if eos_id is not None and eos_id in emitted:
                emitted = emitted[:emitted.index(eos_id) + 1]
            ids += emitted
            if tc.get_seq_length() > len(ids) - 1: tc.crop(len(ids) - 1 - tc.get_seq_length())
            if dc.get_seq_length() > len(ids) - 1:
                dc.crop(len(ids) - 1 - dc.get_seq_length())
        return torch.tensor([ids])
