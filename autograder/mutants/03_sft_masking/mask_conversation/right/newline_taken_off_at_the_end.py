# exercise: mask_conversation
def mask_conversation(messages, encode, special):
    newline = list(encode("\n"))
    ids, labels = [], []
    for m in messages:
        head = [special[f"<|{m['role']}|>"], *newline]
        body = list(encode(m["content"]))
        if m["role"] == "assistant":
            body.append(special["<|endoftext|>"])
            learned = body
        else:
            learned = [-100] * len(body)
        ids += head + body + newline
        labels += [-100] * len(head) + learned + [-100] * len(newline)
    end = len(ids) - len(newline) if messages else 0
    return ids[:end], labels[:end]
