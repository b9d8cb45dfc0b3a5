# exercise: mask_conversation
def mask_conversation(messages, encode, special):
    ids, labels = [], []
    for i, m in enumerate(messages):
        own = m["role"] == "assistant"
        ids += [special[f"<|{m['role']}|>"], *encode("\n")]
        labels += [-100] * (len(ids) - len(labels))
        if own:
            piece = encode(m["content"]) + [special["<|endoftext|>"]]
            ids += piece
            labels += piece
            ids += encode("\n") if i + 1 < len(messages) else []
        else:
            ids += encode(m["content"] + ("\n" if i + 1 < len(messages) else ""))
        labels += [-100] * (len(ids) - len(labels))
    return ids, labels
# clause: pieces are encoded one by one (the user's content and the joining newline are one here)
