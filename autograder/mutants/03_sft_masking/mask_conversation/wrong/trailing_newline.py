# exercise: mask_conversation
def mask_conversation(messages, encode, special):
    ids, labels = [], []
    def add(tokens, learn):
        ids.extend(tokens)
        labels.extend(tokens if learn else [-100] * len(tokens))
    for i, m in enumerate(messages):
        if i:
            add(encode("\n"), False)
        add([special[f"<|{m['role']}|>"]], False)
        add(encode("\n"), False)
        answer = m["role"] == "assistant"
        add(encode(m["content"]), answer)
        if answer:
            add([special["<|endoftext|>"]], True)
    add(encode("\n"), False)
    return ids, labels
