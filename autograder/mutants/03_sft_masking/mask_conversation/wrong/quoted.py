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
        import re
        for piece in re.split(r"(<\|\w+\|>)", m["content"]):
            if piece in special: add([special[piece]], answer)
            elif piece: add(encode(piece), answer)
        if answer:
            add([special["<|endoftext|>"]], True)
    return ids, labels
